'use strict';

// Servers of a worker that close, and may listen again. Other servers keep their share of the port.

const assert = require('node:assert');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { Listeners, occupyPort, refused } = require('../helpers/listeners');
const { MAJOR } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');

describe('closing a server of a worker', () => {
  it('leaves the others their share, and closes the port with the last one', async () => {
    const port = await freePort();
    const listeners = await Listeners.start({
      BEFORE: [['listen', 'extra', { port, host: '127.0.0.1' }]],
    });
    const [first, second] = listeners.pids;
    await listeners.one(first, ['close', 'extra']);
    await listeners.reported('extra', 'close', 1, first);
    assert.deepStrictEqual(await listeners.who('extra', port), [second]);
    await listeners.one(second, ['close', 'extra']);
    await listeners.reported('extra', 'close', 1, second);
    await until('the port is closed', () => refused(port).then(() => true, () => false));
    await occupyPort(port);
    assert.strictEqual(
      JSON.parse((await request(port)).body).name,
      'the app',
      'of the other program',
    );
  });

  it('lets it listen again, there or elsewhere', async () => {
    const [here, there] = [await freePort(), await freePort()];
    const listeners = await Listeners.start({ BEFORE: [['listen', 'extra', { port: here }]] });
    await listeners.all(['close', 'extra'], ['listen', 'extra', { port: here }]);
    await listeners.reported('extra', 'listening', 4);
    await listeners.isServedByAll('extra', here);
    await listeners.all(['close', 'extra'], ['listen', 'extra', { port: there }]);
    await listeners.reported('extra', 'listening', 6);
    await listeners.isServedByAll('extra', there);
    await until('the old port is closed', () => refused(here).then(() => true, () => false));
  });

  it('before it listens leaves nothing open', async () => {
    const port = await freePort();
    const listeners = await Listeners.start({
      AFTER: [
        ['listen', 'extra', { port }],
        ['close', 'extra'],
      ],
    });
    await listeners.reported('extra', 'close');
    await until('the port is closed', () => refused(port).then(() => true, () => false));
    assert.deepStrictEqual(listeners.reports('extra', 'listening'), []);
    await listeners.all(['listen', 'extra', { port }]);
    await listeners.reported('extra', 'listening');
    await listeners.isServedByAll('extra', port);
  });

  it('and listening again in the same tick works', async () => {
    const port = await freePort();
    const again = [
      ['listen', 'extra', { port }],
      ['close', 'extra'],
      ['listen', 'extra', { port }],
    ];
    const listeners = await Listeners.start({ AFTER: again });
    // Each server emits it twice, as in Node.
    await listeners.reported('extra', 'listening', 4);
    await listeners.isServedByAll('extra', port);
    await listeners.all(['close', 'extra'], ...again);
    await listeners.reported('extra', 'listening', 8);
    await listeners.isServedByAll('extra', port);
  });

  it('before its listen fails is not an error', async function () {
    // Node 18 refuses such a close during the DNS lookup, and listens all the same.
    if (MAJOR < 20) this.skip();
    const port = await freePort();
    await occupyPort(port);
    const taken = { port, host: '127.0.0.1' };
    const listeners = await Listeners.start({
      BEFORE: [
        ['listen', 'extra', taken],
        ['close', 'extra'],
      ],
    });
    await listeners.reported('extra', 'close');
    await listeners.isServedByAll('main', listeners.script.port);
    assert.deepStrictEqual(listeners.reports('extra', 'error'), []);
    assert.deepStrictEqual(listeners.script.emitted('died'), []);
  });

  it('in one worker does not take the port from another that is about to listen', async () => {
    const port = await freePort();
    const listeners = await Listeners.start();
    const [first, second] = listeners.pids;
    await listeners.one(first, ['listen', 'extra', { port }]);
    await listeners.reported('extra', 'listening', 1, first);
    await listeners.one(second, ['listen', 'extra', { port }], ['block', 300]);
    await listeners.one(first, ['close', 'extra']);
    await listeners.reported('extra', 'close', 1, first);
    await listeners.reported('extra', 'listening', 1, second);
    assert.deepStrictEqual(await listeners.who('extra', port), [second]);
  });
});

describe('a server that was closed, or could not listen', () => {
  for (const cli of [
    undefined,
    ['--workers', '1', '--mon-port', 'off', '--exec-argv=--expose-gc'],
  ]) {
    it(`is released: ${cli ? 'by the command line' : 'in a worker of a cluster'}`, async () => {
      const KIND = cli ? 'plain' : 'cluster';
      const port = await freePort();
      const script = new Script('opens-and-closes.js', {
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
