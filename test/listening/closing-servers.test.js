'use strict';

// Servers of a worker that close, and may listen again: others keep their share of the port.

const assert = require('node:assert');
const { request } = require('../helpers/client');
const { Script, freePort } = require('../helpers/cluster');
const { Listeners, occupy, refused } = require('../helpers/listeners');
const { MAJOR } = require('../helpers/node');
const { until } = require('../helpers/wait');

describe('closing a server of a worker', () => {
  it('leaves the others their share, and lets go of the port with the last one', async () => {
    const port = await freePort();
    const listeners = await Listeners.start({
      BEFORE: [['listen', 'extra', { port, host: '127.0.0.1' }]],
    });
    const [first, second] = listeners.pids;
    await listeners.one(first, ['close', 'extra']);
    await listeners.told('extra', 'close', 1, first);
    assert.deepStrictEqual(await listeners.who('extra', port), [second]);
    await listeners.one(second, ['close', 'extra']);
    await listeners.told('extra', 'close', 1, second);
    await until('nobody listens', () => refused(port).then(() => true, () => false));
    await occupy(port);
    assert.strictEqual(
      JSON.parse((await request(port)).body).name,
      'the app',
      'of the other program',
    );
  });

  it('is not for ever: it may listen again, there or elsewhere', async () => {
    const [here, there] = [await freePort(), await freePort()];
    const listeners = await Listeners.start({ BEFORE: [['listen', 'extra', { port: here }]] });
    await listeners.all(['close', 'extra'], ['listen', 'extra', { port: here }]);
    await listeners.told('extra', 'listening', 4);
    await listeners.isServedByAll('extra', here);
    await listeners.all(['close', 'extra'], ['listen', 'extra', { port: there }]);
    await listeners.told('extra', 'listening', 6);
    await listeners.isServedByAll('extra', there);
    await until('nobody listens there any more', () => refused(here).then(() => true, () => false));
  });

  it('before it listens leaves nothing open', async () => {
    const port = await freePort();
    const listeners = await Listeners.start({
      AFTER: [
        ['listen', 'extra', { port }],
        ['close', 'extra'],
      ],
    });
    await listeners.told('extra', 'close');
    await until('nobody listens', () => refused(port).then(() => true, () => false));
    assert.deepStrictEqual(listeners.tales('extra', 'listening'), []);
    await listeners.all(['listen', 'extra', { port }]);
    await listeners.told('extra', 'listening');
    await listeners.isServedByAll('extra', port);
  });

  it('and listening again at once, before anything has happened, listens', async () => {
    const port = await freePort();
    const again = [
      ['listen', 'extra', { port }],
      ['close', 'extra'],
      ['listen', 'extra', { port }],
    ];
    const listeners = await Listeners.start({ AFTER: again });
    // Each of them says so twice, as Node has it.
    await listeners.told('extra', 'listening', 4);
    await listeners.isServedByAll('extra', port);
    await listeners.all(['close', 'extra'], ...again);
    await listeners.told('extra', 'listening', 8);
    await listeners.isServedByAll('extra', port);
  });

  it('before it turns out that it cannot listen is no error', async function () {
    // Node 18 itself refuses such a close while a name is looked up, and listens all the same.
    if (MAJOR < 20) this.skip();
    const port = await freePort();
    await occupy(port);
    const taken = { port, host: '127.0.0.1' };
    const listeners = await Listeners.start({
      BEFORE: [
        ['listen', 'extra', taken],
        ['close', 'extra'],
      ],
    });
    await listeners.told('extra', 'close');
    await listeners.isServedByAll('main', listeners.script.port);
    assert.deepStrictEqual(listeners.tales('extra', 'error'), []);
    assert.deepStrictEqual(listeners.script.told('died'), []);
  });

  it('in one worker does not take the port from another that is just about to listen', async () => {
    const port = await freePort();
    const listeners = await Listeners.start();
    const [first, second] = listeners.pids;
    await listeners.one(first, ['listen', 'extra', { port }]);
    await listeners.told('extra', 'listening', 1, first);
    await listeners.one(second, ['listen', 'extra', { port }], ['block', 300]);
    await listeners.one(first, ['close', 'extra']);
    await listeners.told('extra', 'close', 1, first);
    await listeners.told('extra', 'listening', 1, second);
    assert.deepStrictEqual(await listeners.who('extra', port), [second]);
  });
});

describe('a server that was closed, or could not listen', () => {
  for (const cli of [
    undefined,
    ['--workers', '1', '--mon-port', 'off', '--exec-argv=--expose-gc'],
  ]) {
    it(`is forgotten: ${cli ? 'by the command line' : 'in a worker of a cluster'}`, async () => {
      const KIND = cli ? 'plain' : 'cluster';
      const port = await freePort();
      const script = new Script('closes.js', {
        port,
        cli: cli && [...cli, '--port', String(port)],
        env: { KIND },
      });
      await script.until('it has closed them all', () => /left \d+ of 200/.test(script.output));
      const [, left] = /left (\d+)/.exec(script.output);
      assert.ok(Number(left) < 10, script.output);
    });
  }
});
