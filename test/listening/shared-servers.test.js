'use strict';

// In a worker `listen()` of any server shares its port with the other workers, as with
// node:cluster.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Connection } = require('../helpers/client');
const { Listeners, occupyPort, refused } = require('../helpers/listeners');
const { MAJOR } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');

describe('another server of a worker', () => {
  it('shares its port, whether it listens before or after the app', async () => {
    const [before, after] = [await freePort(), await freePort()];
    const listeners = await Listeners.start({
      BEFORE: [['listen', 'before', { port: before }]],
      AFTER: [['listen', 'after', { port: after, host: '127.0.0.1' }]],
    });
    await listeners.reported('before', 'listening');
    await listeners.reported('after', 'listening');
    await listeners.isServedByAll('before', before);
    await listeners.isServedByAll('after', after);
    await listeners.isServedByAll('main', listeners.script.port);
  });

  it('gets one port for `listen(0)` in all workers, and another for the next', async () => {
    const listeners = await Listeners.start({
      BEFORE: [
        ['listen', 'one', { port: 0 }],
        ['listen', 'two', { port: 0 }],
      ],
    });
    const ports = [];
    for (const name of ['one', 'two']) {
      const [first, second] = await listeners.reported(name, 'listening');
      assert.deepStrictEqual(first.address, second.address);
      ports.push(first.address.port);
      await listeners.isServedByAll(name, first.address.port);
    }
    assert.notStrictEqual(ports[0], ports[1]);
    process.kill(listeners.pids[0], 'SIGKILL');
    const [, late] = await listeners.reported('two', 'listening', 3);
    assert.strictEqual(late.address.port, ports[1], 'a worker that comes later gets them too');
  });

  it('has the address that it listens on', async () => {
    const port = await freePort();
    const listeners = await Listeners.start({
      BEFORE: [['listen', 'extra', { port, host: '127.0.0.1' }]],
    });
    const [{ address }] = await listeners.reported('extra', 'listening');
    assert.deepStrictEqual(address, { address: '127.0.0.1', family: 'IPv4', port });
  });

  it('may listen on a unix socket; closing the last server removes its file', async () => {
    const listeners = await Listeners.start({
      BEFORE: [['listen', 'extra', { path: 'extra.sock', writableAll: true }]],
    });
    const file = path.join(listeners.script.cwd, 'extra.sock');
    assert.strictEqual((await listeners.reported('extra', 'listening'))[0].address, 'extra.sock');
    await listeners.isServedByAll('extra', file);
    // Node passes this option on since version 20.
    if (MAJOR >= 20) assert.strictEqual(fs.statSync(file).mode & 0o222, 0o222);
    await listeners.all(['close', 'extra']);
    await until('the file is gone', () => !fs.existsSync(file));
  });

  it('may ask for IPv6 only, and gets IPv4 too by default', async function () {
    if (!fs.existsSync('/proc/net/if_inet6')) this.skip();
    const [alone, both] = [await freePort(), await freePort()];
    const BEFORE = [
      ['listen', 'alone', { port: alone, host: '::', ipv6Only: true }],
      ['listen', 'both', { port: both }],
    ];
    const listeners = await Listeners.start({ BEFORE });
    const [{ address }] = await listeners.reported('both', 'listening');
    assert.deepStrictEqual(address, { address: '::', family: 'IPv6', port: both });
    for (const port of [alone, both])
      await listeners.isServedByAll(port === both ? 'both' : 'alone', port, { host: '::1' });
    await listeners.isServedByAll('both', both);
    await refused(alone);
  });

  it('with `exclusive: true` gets a port of its own', async () => {
    const options = { port: 0, host: '127.0.0.1', exclusive: true };
    const listeners = await Listeners.start({ BEFORE: [['listen', 'own', options]] });
    const ports = (await listeners.reported('own', 'listening')).map(({ address }) => address.port);
    assert.notStrictEqual(ports[0], ports[1]);
    const answers = [await listeners.who('own', ports[0]), await listeners.who('own', ports[1])];
    assert.deepStrictEqual(
      answers.flat().sort(),
      listeners.pids.sort(),
      'each port leads to one worker',
    );
  });

  it('finishes its requests in a shutdown, as the app does', async () => {
    const port = await freePort();
    const listeners = await Listeners.start({ BEFORE: [['listen', 'extra', { port }]] });
    const client = new Connection(port);
    await client.say('GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHo', '"extra"');
    await listeners.cluster.shutdown();
    await refused(port);
    client.received = '';
    await client.say('st: localhost\r\n\r\n', '"extra"');
    assert.deepStrictEqual(await listeners.script.ended(), { code: 0, signal: null });
  });
});

describe('a server of a worker that cannot listen', () => {
  it("emits Node's own error if another program has the port, and may try again", async () => {
    const port = await freePort();
    const other = await occupyPort(port);
    const listeners = await Listeners.start({
      BEFORE: [['listen', 'extra', { port, host: '127.0.0.1' }]],
    });
    for (const { error } of await listeners.reported('extra', 'error')) {
      assert.match(error.message, new RegExp(`^(bind|listen) EADDRINUSE.* 127.0.0.1:${port}$`));
      assert.deepStrictEqual(
        [error.code, error.address, error.port],
        ['EADDRINUSE', '127.0.0.1', port],
      );
    }
    await listeners.isServedByAll('main', listeners.script.port);
    other.kill();
    await other.ended();
    await listeners.all(['listen', 'extra', { port, host: '127.0.0.1' }]);
    await listeners.reported('extra', 'listening');
    await listeners.isServedByAll('extra', port);
  });

  it('emits an error if another server of the same worker has the port', async () => {
    const port = await freePort();
    const listeners = await Listeners.start({
      AFTER: [
        ['listen', 'one', { port }],
        ['listen', 'same', { port }],
      ],
    });
    await listeners.reported('one', 'listening');
    const errors = await listeners.reported('same', 'error');
    assert.deepStrictEqual(errors.map(({ error }) => error.code), ['EADDRINUSE', 'EADDRINUSE']);
    await listeners.isServedByAll('one', port);
    await listeners.all(['close', 'one'], ['listen', 'same', { port }]);
    await listeners.reported('same', 'listening');
    await listeners.isServedByAll('same', port);
  });

  for (const [code, options] of Object.entries({
    EADDRNOTAVAIL: { port: 0, host: '192.0.2.1' },
    EACCES: { path: '/nowhere/extra.sock' },
  })) {
    it(`emits ${code} as without a cluster, and the app goes on`, async () => {
      const listeners = await Listeners.start({ BEFORE: [['listen', 'extra', options]] });
      const codes = (await listeners.reported('extra', 'error')).map(({ error }) => error.code);
      assert.deepStrictEqual(codes, [code, code]);
      await listeners.isServedByAll('main', listeners.script.port);
    });
  }
});
