'use strict';

// In a worker any server's `listen()` shares its port with the other workers, as with node:cluster.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const Cluster = require('../..');
const { Connection, answersOfAll, request } = require('../helpers/client');
const { Script, freePort } = require('../helpers/cluster');
const { MAJOR } = require('../helpers/node');
const { until } = require('../helpers/wait');

const refused = (port, to) => assert.rejects(request(port, '/', to), { code: 'ECONNREFUSED' });

/** The running fixture, its workers' tales, and orders to them. */
class Listeners {
  static async start(env = {}) {
    const listeners = new Listeners();
    const texts = Object.entries(env).map(([name, value]) => [name, JSON.stringify(value)]);
    listeners.script = await new Script('listener.js', { port: await freePort(), env: Object.fromEntries(texts) }).ready();
    listeners.cluster = new Cluster({ pids: listeners.script.pids });
    listeners.pids = listeners.script.workers();
    return listeners;
  }

  /** What the workers (or one of them) told of a server, in the order of time. */
  tales(name, event, pid) {
    const all = this.script.told('message').filter(([from]) => pid === undefined || from === pid);
    return all.map(([, tale]) => tale).filter((tale) => tale.name === name && tale.event === event);
  }

  /** The last `count` of them, when there are so many. */
  async told(name, event, count = 2, pid) {
    await this.script.until(`${name} tells ${event}, ${count} times`, () => this.tales(name, event, pid).length >= count);
    return this.tales(name, event, pid).slice(-2);
  }

  async all(...commands) {
    await this.cluster.broadcast(commands);
  }

  async one(pid, ...commands) {
    await this.cluster.send(pid, commands);
  }

  async ask(name, port, to) {
    const answer = JSON.parse((await request(port, '/', to)).body);
    assert.strictEqual(answer.name, name);
    return answer;
  }

  async isServedByAll(name, port, to) {
    await answersOfAll(this.pids, () => this.ask(name, port, to));
  }

  /** The workers that answer there, some times in a row. */
  async who(name, port) {
    const pids = new Set();
    for (let i = 0; i < 6; i++) pids.add((await this.ask(name, port)).pid);
    return [...pids];
  }
}

/** Another program that holds a port. */
const occupy = (port) => new Script('ports.js', { options: { port, host: '127.0.0.1' } }).ready();

describe('another server of a worker', () => {
  it('shares its port, whether it listens before or after the app', async () => {
    const [before, after] = [await freePort(), await freePort()];
    const listeners = await Listeners.start({
      BEFORE: [['listen', 'before', { port: before }]],
      AFTER: [['listen', 'after', { port: after, host: '127.0.0.1' }]],
    });
    await listeners.told('before', 'listening');
    await listeners.told('after', 'listening');
    await listeners.isServedByAll('before', before);
    await listeners.isServedByAll('after', after);
    await listeners.isServedByAll('main', listeners.script.port);
  });

  it('gets one port for `listen(0)` in all workers, and another one for the next `listen(0)`', async () => {
    const listeners = await Listeners.start({ BEFORE: [['listen', 'one', { port: 0 }], ['listen', 'two', { port: 0 }]] });
    const ports = [];
    for (const name of ['one', 'two']) {
      const [first, second] = await listeners.told(name, 'listening');
      assert.deepStrictEqual(first.address, second.address);
      ports.push(first.address.port);
      await listeners.isServedByAll(name, first.address.port);
    }
    assert.notStrictEqual(ports[0], ports[1]);
    process.kill(listeners.pids[0], 'SIGKILL');
    const [, late] = await listeners.told('two', 'listening', 3);
    assert.strictEqual(late.address.port, ports[1], 'a worker that comes later gets them too');
  });

  it('has the address that it listens on', async () => {
    const port = await freePort();
    const listeners = await Listeners.start({ BEFORE: [['listen', 'extra', { port, host: '127.0.0.1' }]] });
    const [{ address }] = await listeners.told('extra', 'listening');
    assert.deepStrictEqual(address, { address: '127.0.0.1', family: 'IPv4', port });
  });

  it('may listen on a unix socket, whose file goes with the last server', async () => {
    const listeners = await Listeners.start({ BEFORE: [['listen', 'extra', { path: 'extra.sock', writableAll: true }]] });
    const file = path.join(listeners.script.cwd, 'extra.sock');
    assert.strictEqual((await listeners.told('extra', 'listening'))[0].address, 'extra.sock');
    await listeners.isServedByAll('extra', file);
    // Node passes the wish on since version 20.
    if (MAJOR >= 20) assert.strictEqual(fs.statSync(file).mode & 0o222, 0o222);
    await listeners.all(['close', 'extra']);
    await until('the file is gone', () => !fs.existsSync(file));
  });

  it('may ask for IPv6 alone, and has IPv4 too if it asks for nothing', async function () {
    if (!fs.existsSync('/proc/net/if_inet6')) this.skip();
    const [alone, both] = [await freePort(), await freePort()];
    const BEFORE = [['listen', 'alone', { port: alone, host: '::', ipv6Only: true }], ['listen', 'both', { port: both }]];
    const listeners = await Listeners.start({ BEFORE });
    const [{ address }] = await listeners.told('both', 'listening');
    assert.deepStrictEqual(address, { address: '::', family: 'IPv6', port: both });
    for (const port of [alone, both]) await listeners.isServedByAll(port === both ? 'both' : 'alone', port, { host: '::1' });
    await listeners.isServedByAll('both', both);
    await refused(alone);
  });

  it('with `exclusive: true` has a port of its own', async () => {
    const options = { port: 0, host: '127.0.0.1', exclusive: true };
    const listeners = await Listeners.start({ BEFORE: [['listen', 'own', options]] });
    const ports = (await listeners.told('own', 'listening')).map(({ address }) => address.port);
    assert.notStrictEqual(ports[0], ports[1]);
    const answers = [await listeners.who('own', ports[0]), await listeners.who('own', ports[1])];
    assert.deepStrictEqual(answers.flat().sort(), listeners.pids.sort(), 'each port leads to one worker');
  });

  it('finishes what it has at a shutdown, as the app does', async () => {
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

describe('closing a server of a worker', () => {
  it('leaves the others their share, and lets go of the port with the last one', async () => {
    const port = await freePort();
    const listeners = await Listeners.start({ BEFORE: [['listen', 'extra', { port, host: '127.0.0.1' }]] });
    const [first, second] = listeners.pids;
    await listeners.one(first, ['close', 'extra']);
    await listeners.told('extra', 'close', 1, first);
    assert.deepStrictEqual(await listeners.who('extra', port), [second]);
    await listeners.one(second, ['close', 'extra']);
    await listeners.told('extra', 'close', 1, second);
    await until('nobody listens', () => refused(port).then(() => true, () => false));
    await occupy(port);
    assert.strictEqual(JSON.parse((await request(port)).body).name, 'the app', 'of the other program');
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
    const listeners = await Listeners.start({ AFTER: [['listen', 'extra', { port }], ['close', 'extra']] });
    await listeners.told('extra', 'close');
    await until('nobody listens', () => refused(port).then(() => true, () => false));
    assert.deepStrictEqual(listeners.tales('extra', 'listening'), []);
    await listeners.all(['listen', 'extra', { port }]);
    await listeners.told('extra', 'listening');
    await listeners.isServedByAll('extra', port);
  });

  it('and listening again at once, before anything has happened, listens', async () => {
    const port = await freePort();
    const again = [['listen', 'extra', { port }], ['close', 'extra'], ['listen', 'extra', { port }]];
    const listeners = await Listeners.start({ AFTER: again });
    // Each of them says so twice, as Node has it.
    await listeners.told('extra', 'listening', 4);
    await listeners.isServedByAll('extra', port);
    await listeners.all(['close', 'extra'], ...again);
    await listeners.told('extra', 'listening', 8);
    await listeners.isServedByAll('extra', port);
  });

  it('before it turns out that it cannot listen is no error', async function () {
    if (MAJOR < 20) this.skip(); // Node 18 itself refuses such a close while a name is looked up, and listens all the same.
    const port = await freePort();
    await occupy(port);
    const taken = { port, host: '127.0.0.1' };
    const listeners = await Listeners.start({ BEFORE: [['listen', 'extra', taken], ['close', 'extra']] });
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

describe('a server of a worker that cannot listen', () => {
  it("emits Node's own error where another program has the port, and may try again", async () => {
    const port = await freePort();
    const other = await occupy(port);
    const listeners = await Listeners.start({ BEFORE: [['listen', 'extra', { port, host: '127.0.0.1' }]] });
    for (const { error } of await listeners.told('extra', 'error')) {
      assert.match(error.message, new RegExp(`^(bind|listen) EADDRINUSE.* 127.0.0.1:${port}$`));
      assert.deepStrictEqual([error.code, error.address, error.port], ['EADDRINUSE', '127.0.0.1', port]);
    }
    await listeners.isServedByAll('main', listeners.script.port);
    other.kill();
    await other.ended();
    await listeners.all(['listen', 'extra', { port, host: '127.0.0.1' }]);
    await listeners.told('extra', 'listening');
    await listeners.isServedByAll('extra', port);
  });

  it('emits an error where another server of the same worker listens', async () => {
    const port = await freePort();
    const listeners = await Listeners.start({ AFTER: [['listen', 'one', { port }], ['listen', 'same', { port }]] });
    await listeners.told('one', 'listening');
    const errors = await listeners.told('same', 'error');
    assert.deepStrictEqual(errors.map(({ error }) => error.code), ['EADDRINUSE', 'EADDRINUSE']);
    await listeners.isServedByAll('one', port);
    await listeners.all(['close', 'one'], ['listen', 'same', { port }]);
    await listeners.told('same', 'listening');
    await listeners.isServedByAll('same', port);
  });

  for (const [code, options] of Object.entries({
    EADDRNOTAVAIL: { port: 0, host: '192.0.2.1' },
    EACCES: { path: '/nowhere/extra.sock' },
  })) {
    it(`emits ${code} as without a cluster, and the app goes on`, async () => {
      const listeners = await Listeners.start({ BEFORE: [['listen', 'extra', options]] });
      const codes = (await listeners.told('extra', 'error')).map(({ error }) => error.code);
      assert.deepStrictEqual(codes, [code, code]);
      await listeners.isServedByAll('main', listeners.script.port);
    });
  }
});

describe('a server that was closed, or could not listen', () => {
  for (const cli of [undefined, ['--workers', '1', '--mon-port', 'off', '--exec-argv=--expose-gc']]) {
    it(`is forgotten: ${cli ? 'by the command line' : 'in a worker of a cluster'}`, async () => {
      const KIND = cli ? 'plain' : 'cluster';
      const port = await freePort();
      const script = new Script('closes.js', { port, cli: cli && [...cli, '--port', String(port)], env: { KIND } });
      await script.until('it has closed them all', () => /left \d+ of 200/.test(script.output));
      const [, left] = /left (\d+)/.exec(script.output);
      assert.ok(Number(left) < 10, script.output);
    });
  }
});
