'use strict';

// Workers accept from one socket by themselves. They share connections evenly. If something happens
// to one of them, the others accept the connections that it has not accepted.

const assert = require('node:assert');
const { once } = require('node:events');
const net = require('node:net');
const { Script, isAlive } = require('../helpers/cluster');
const { limit } = require('../helpers/descriptor-limit');
const { stopHolding } = require('../helpers/killed');
const { freePort } = require('../helpers/ports');
const { until, within } = require('../helpers/wait');

/** How long a client may wait while another worker is free, with room for a busy machine. */
const SOON = 500;

async function start(workers, env = {}) {
  const cli = ['--workers', String(workers), '--mon-port', 'off'];
  const script = new Script('accepts.js', { port: await freePort(), cli, env });
  return script.ready(workers);
}

/** A connection that stays open. `pid` is its worker's, `waited` the time until the answer. */
class Client {
  constructor(port, host = '127.0.0.1') {
    const began = performance.now();
    this.socket = net.connect(port, host);
    this.socket.on('error', () => {});
    this.answered = (async () => {
      const [text] = await once(this.socket, 'data');
      this.pid = Number(text);
      this.waited = performance.now() - began;
      return this;
    })();
  }

  /** Blocks the worker. Returns once it is blocked. */
  async block(ms) {
    this.socket.write(`block ${ms}\n`);
    await once(this.socket, 'data');
  }
}

/** The number of these clients on each worker, the highest first. */
function spread(clients) {
  const counts = new Map();
  for (const { pid } of clients) counts.set(pid, (counts.get(pid) ?? 0) + 1);
  return [...counts.values()].sort((a, b) => b - a);
}

describe('workers that accept from one socket', () => {
  let script;
  let clients = [];
  afterEach(async () => {
    for (const { socket } of clients) socket.destroy();
    clients = [];
    await script?.cleanUp();
    script = undefined;
  });

  const connect = (count, host) => {
    const some = Array.from({ length: count }, () => new Client(script.port, host));
    clients.push(...some);
    return some;
  };
  const answered = (some) => Promise.all(some.map((client) => client.answered));
  const signal = (pid, name) => process.kill(pid, name);
  const handed = async () => (await script.status()).totals.handed;

  for (const workers of [2, 5, 12]) {
    it(`share connections that come one by one exactly: ${workers} workers`, async () => {
      script = await start(workers);
      for (let i = 0; i < 3 * workers; i += 1) await answered(connect(1));
      assert.deepStrictEqual(spread(clients), Array(workers).fill(3));
      assert.strictEqual(await handed(), 0, 'the master handed over none');
    });

    it(`share connections that come at once: ${workers} workers`, async () => {
      script = await start(workers);
      await answered(connect(16 * workers));
      // On a busy machine a worker may count as stuck; `npm run bench` measures more.
      const [most] = spread(clients);
      assert.ok(most < 32, `${spread(clients)}`);
    });
  }

  it('fill up a new worker, which has fewer', async () => {
    script = await start(2);
    for (let i = 0; i < 12; i += 1) await answered(connect(1));
    const [{ pid: killed }] = clients;
    signal(killed, 'SIGKILL');
    await script.until(
      'the worker is replaced',
      () => (script.errors.match(/worker \d+ is ready/g) ?? []).length === 3,
    );
    clients = clients.filter(({ pid }) => pid !== killed);
    for (let i = 0; i < 6; i += 1) await answered(connect(1));
    assert.deepStrictEqual(spread(clients), [6, 6]);
  });

  it('share connections on IPv4 and IPv6, and on several listeners', async () => {
    script = await start(2, { HOSTS: '127.0.0.1,::1' });
    for (let i = 0; i < 4; i += 1) {
      await answered(connect(1, '127.0.0.1'));
      await answered(connect(1, '::1'));
    }
    assert.deepStrictEqual(spread(clients), [4, 4]);
    assert.strictEqual(await handed(), 0);
  });

  it('leave nothing to one that is blocked', async () => {
    script = await start(2);
    const [first] = await answered(connect(1));
    await answered(connect(1));
    await first.block(1500);
    const late = [];
    for (let i = 0; i < 20; i += 1) late.push(...(await answered(connect(1))));
    const slow = late.filter(({ waited }) => waited > SOON);
    assert.deepStrictEqual(slow.map(({ waited }) => waited), []);
    assert.ok(late.filter(({ pid }) => pid === first.pid).length === 0);
  });

  it('leave nothing to one that is stopped, which accepts again when it goes on', async () => {
    script = await start(2);
    const [first] = await answered(connect(1));
    await answered(connect(1));
    signal(first.pid, 'SIGSTOP');
    const late = await answered(connect(10));
    assert.ok(late.every(({ pid, waited }) => pid !== first.pid && waited < SOON));
    signal(first.pid, 'SIGCONT');
    await until('it accepts again', async () => (await answered(connect(1)))[0].pid === first.pid);
  });

  it('accept the connections of one that has no free descriptor', async () => {
    script = await start(2);
    const [first] = await answered(connect(1));
    await answered(connect(1));
    limit(first.pid, 16);
    const late = await answered(connect(10));
    assert.ok(late.every(({ pid, waited }) => pid !== first.pid && waited < SOON));
    limit(first.pid, 1000);
    await until('it accepts again', async () => (await answered(connect(1)))[0].pid === first.pid);
  });

  it('hold only a few unread connections when one of these blocks them', async () => {
    script = await start(1);
    const [first] = await answered(connect(1));
    signal(first.pid, 'SIGSTOP');
    const waiting = connect(30);
    await until('all are in the queue', () => waiting.every(({ socket }) => !socket.connecting));
    const blocked = waiting.map((client) => client.block(1500));
    signal(first.pid, 'SIGCONT');
    await within('one of them blocks it', Promise.race(blocked));
    const ports = new Set(waiting.map(({ socket }) => socket.localPort));
    const held = stopHolding(first.pid).filter((port) => ports.has(port));
    signal(first.pid, 'SIGKILL');
    // A look accepts at most 4. One comes before it reads, and one together with the first data.
    assert.ok(held.length <= 2 * 4, `${held.length} of 30`);
  });

  it('lose none of a full queue when one of them dies', async () => {
    script = await start(2);
    const [first] = await answered(connect(1));
    const [second] = await answered(connect(1));
    for (const { pid } of [first, second]) signal(pid, 'SIGSTOP');
    const waiting = connect(50);
    await until('all are in the queue', () => waiting.every(({ socket }) => !socket.connecting));
    signal(first.pid, 'SIGKILL');
    signal(second.pid, 'SIGCONT');
    await within('all are answered', answered(waiting));
  });

  it('lose none of a full queue in a shutdown and in a reload', async () => {
    for (const command of ['reload', 'shutdown']) {
      script = await start(2);
      const two = [...(await answered(connect(1))), ...(await answered(connect(1)))];
      for (const { pid } of two) signal(pid, 'SIGSTOP');
      const waiting = connect(50);
      await until('all are in the queue', () => waiting.every(({ socket }) => !socket.connecting));
      if (command === 'shutdown') script.kill('SIGTERM');
      else script.kill('SIGHUP');
      await script.until('it has begun', () =>
        script.errors.includes(command === 'shutdown' ? 'shutting down' : 'reload 1 of 2'),
      );
      for (const { pid } of two) signal(pid, 'SIGCONT');
      await within('all are answered', answered(waiting));
      for (const { socket } of clients) socket.destroy();
      clients = [];
      await script.cleanUp();
      script = undefined;
    }
  });

  it('lose none of a full queue when the master dies', async () => {
    script = await start(2);
    const two = [...(await answered(connect(1))), ...(await answered(connect(1)))];
    for (const { pid } of two) signal(pid, 'SIGSTOP');
    // More than one worker accepts at once.
    const waiting = connect(150);
    await until('all are in the queue', () => waiting.every(({ socket }) => !socket.connecting));
    script.kill('SIGKILL');
    await script.exited();
    for (const { pid } of two) signal(pid, 'SIGCONT');
    await within('all are answered', answered(waiting));
    await until('the port is free', async () => {
      const socket = net.connect(script.port, '127.0.0.1');
      return once(socket, 'connect').then(
        () => socket.destroy() && false,
        ({ code }) => code === 'ECONNREFUSED',
      );
    });
    for (const { socket } of clients) socket.destroy();
    await until('the workers have left', () => two.every(({ pid }) => !isAlive(pid)));
  });
});
