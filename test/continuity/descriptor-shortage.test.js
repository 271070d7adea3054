'use strict';

// Processes without a free descriptor: connections wait until there is one, and the accept loop
// neither ends nor spins.

const assert = require('node:assert');
const fs = require('node:fs');
const { Connection } = require('../helpers/client');
const { isAlive } = require('../helpers/cluster');
const { exhaust, limit } = require('../helpers/descriptor-limit');
const hammer = require('../helpers/hammer');
const { assertCleanEnd, cpuOf, startServer } = require('../helpers/hammered');
const { elapse } = require('../helpers/wait');

const ask = (connection, id) =>
  connection.socket.write(`GET /now/${id}/0 HTTP/1.1\r\nHost: test\r\n\r\n`);
const answered = (connections) =>
  connections.filter(({ received }) => received.includes('first')).length;

/** Opens `count` connections, each with one request in flight. */
function askers(port, count) {
  return Array.from({ length: count }, (_, index) => {
    const connection = new Connection(port);
    ask(connection, `c${index}`);
    return connection;
  });
}

/** Returns the share of a processor that the process uses in the next second. */
async function load(pid) {
  const before = cpuOf(pid);
  await elapse(1000, 'the time that is measured');
  return (cpuOf(pid) - before) / 1000;
}

describe('a master without a free descriptor', () => {
  it('neither spins nor ends, and accepts new connections as soon as it can', async () => {
    // With this policy the master accepts.
    const script = await startServer({ options: { balance: 'round-robin' } });
    const clients = hammer.start(script.port, { clients: { keepAlive: 4, slow: 2, late: 2 } });
    await clients.answered(50);
    exhaust(script.pid);
    const waiting = askers(script.port, 30);
    await script.until('all are connected', () => waiting.every(({ localPort }) => localPort > 0));
    const report = await clients.stop();
    const used = await load(script.pid);
    assert.ok(used < 0.2, `the master used ${used} of a processor`);
    assert.strictEqual(answered(waiting), 0);
    assert.ok(report.ok > 50);
    hammer.assertClean(report);
    limit(script.pid, 1024);
    await script.until('all are answered', () => answered(waiting) === 30);
    assert.ok(waiting.every(({ error, closed }) => !error && !closed));
    waiting.forEach(({ socket }) => socket.destroy());
    assert.deepStrictEqual(script.emitted('died'), []);
    script.kill();
    await assertCleanEnd(script);
  });

  it('keeps no worker from accepting, or from serving the connections of a stuck one', async () => {
    const script = await startServer({ options: { balance: 'least-connections' } });
    exhaust(script.pid);
    const clients = askers(script.port, 30);
    await script.until('all are answered', () => answered(clients) === 30);
    const block = new Connection(script.port);
    block.socket.write('GET /block/b/5000 HTTP/1.1\r\nHost: test\r\n\r\n');
    await script.until('a worker is blocked', () =>
      script.events({ allProcesses: true }).some(([name]) => name === 'blocking'));
    clients.forEach((connection, index) => ask(connection, `again${index}`));
    const again = () =>
      clients.every(({ received }, index) => received.includes(`again${index} `));
    await script.until('all are answered', again);
    assert.strictEqual(block.received, '', 'all that while it was blocked');
    clients.forEach(({ socket }) => socket.destroy());
    limit(script.pid, 1024);
    block.socket.destroy();
    script.kill();
    await assertCleanEnd(script);
  });

  it('loses no idle connection that a worker returns meanwhile', async () => {
    const script = await startServer();
    const idle = askers(script.port, 20);
    await script.until('all are answered', () => answered(idle) === 20);
    idle.forEach((connection) => (connection.received = ''));
    exhaust(script.pid);
    // On an existing connection: no new one is accepted.
    const [teller, ...others] = idle;
    teller.socket.write(
      `GET /master/t/${encodeURIComponent('["scale",1]')} HTTP/1.1\r\nHost: test\r\n\r\n`,
    );
    await script.until('a worker drains', () => script.emitted('answer').length === 1);
    await elapse(500, 'a connection that was not returned would be closed by then');
    limit(script.pid, 1024);
    others.forEach((connection, index) => ask(connection, `d${index}`));
    const done = () => others.every(({ received, closed }) => closed || received.includes('first'));
    await script.until('all are answered or lost', done);
    assert.strictEqual(
      answered(others),
      19,
      `${others.filter(({ closed }) => closed).length} were closed`,
    );
    idle.forEach(({ socket }) => socket.destroy());
  });

  it('starts no worker that it does not know, and leaves no zombie', async () => {
    const script = await startServer();
    const [worker] = script.workers();
    const open = exhaust(script.pid);
    process.kill(worker, 'SIGKILL');
    await script.until('the death is reported', () => script.emitted('died').length > 0);
    // A start can run out of descriptors at each of its steps.
    for (let free = 0; free <= 24; free++) {
      limit(script.pid, open + free);
      await elapse(100, 'the start of a worker gets as far as it can');
    }
    limit(script.pid, 1024);
    await script.until('a new one listens', () => script.emitted('listening').length > 2);
    const alive = script.emitted('listening').flat().filter((pid) => pid !== worker);
    assert.deepStrictEqual(script.workers().sort(), alive.sort(), script.output);
  });

  it('shuts down gracefully', async () => {
    const script = await startServer();
    exhaust(script.pid);
    const waiting = askers(script.port, 5);
    await script.until('all are connected', () => waiting.every(({ localPort }) => localPort > 0));
    script.kill();
    const { code } = await script.ended();
    assert.strictEqual(code, 0);
    await Promise.all(waiting.map((connection) => connection.isClosed()));
  });
});

describe('workers without a free descriptor', () => {
  /** Fills both workers with idle connections, until one connection waits. */
  async function fill(script) {
    const all = askers(script.port, 150);
    await script.until('no more are answered', async () => {
      const before = answered(all);
      await elapse(500, 'a worker with a free descriptor would answer by then');
      return before > 20 && answered(all) === before;
    });
    return all;
  }

  it('lose no connection; waiting ones are served when others close', async () => {
    // Node 26 alone has about 28 descriptors open; a worker accepts only if it has room for a whole
    // batch.
    const script = await startServer({ descriptors: 80 });
    const all = await fill(script);
    const used = await load(script.pid);
    const lost = all.filter(({ closed, received }) => closed && !received.includes('first'));
    assert.deepStrictEqual([script.emitted('died'), lost.length], [[], 0], script.errors);
    assert.ok(used < 0.3, `the master used ${used} of a processor`);
    const waiting = all.filter(({ received }) => !received.includes('first'));
    for (const { received, socket } of all) if (received.includes('first')) socket.destroy();
    await script.until('some more are answered', () => answered(waiting) > 0);
    await script.until('all are answered', () => {
      waiting.forEach(({ received, socket }) => received.includes('first') && socket.destroy());
      return answered(waiting) === waiting.length;
    });
    assert.deepStrictEqual(script.emitted('died'), []);
  });

  /** Opens `count` idle connections, each of which was answered once. */
  async function idlers(script, count) {
    const all = askers(script.port, count);
    await script.until('all are answered', () => answered(all) === count);
    for (const connection of all) connection.received = '';
    return all;
  }

  /** Sends one more request on each, and waits for the responses. */
  async function assertAlive(script, connections) {
    connections.forEach((connection, index) => ask(connection, `again${index}`));
    const done = () =>
      connections.every(({ received, closed }) => closed || received.includes('first'));
    await script.until('all are answered or lost', done);
    assert.strictEqual(connections.filter(({ closed }) => closed).length, 0, 'none was closed');
  }

  it('take as many connections as fit', async () => {
    const script = await startServer();
    for (const pid of script.workers()) limit(pid, 80);
    const all = askers(script.port, 150);
    const used = () => script.workers().map((pid) => fs.readdirSync(`/proc/${pid}/fd`).length);
    // Four are left for what else the process opens.
    await script.until('each has 76 of 80', () => used().every((count) => count >= 76));
    for (const { socket } of all) socket.destroy();
  });

  it('leave connections to the others, even if they run out between two connections', async () => {
    const script = await startServer({ options: { balance: 'least-connections' } });
    const clients = hammer.start(script.port, {
      clients: { keepAlive: 4, slow: 2, late: 2, oneShot: 4 },
    });
    await clients.answered(200);
    const [worker] = script.workers();
    for (let round = 0; round < 3; round++) {
      exhaust(worker);
      await clients.answered(200);
      limit(worker, 1024);
      await clients.answered(200);
    }
    const report = await clients.stop();
    hammer.assertClean(report);
    assert.deepStrictEqual(script.emitted('died'), []);
    script.kill();
    await assertCleanEnd(script);
  });

  for (const [who, exhausted] of [
    ['its master has', () => []],
    ['its master has none either', (script) => [script.pid]],
  ]) {
    it(`can be told to leave: their connections are moved (${who})`, async () => {
      const script = await startServer();
      const idle = await idlers(script, 40);
      const [worker] = script.workers();
      const short = [worker, ...exhausted(script)];
      short.forEach(exhaust);
      const waiting = askers(script.port, 10);
      await script.until('all are connected', () =>
        waiting.every(({ localPort }) => localPort > 0),
      );
      process.kill(worker, 'SIGTERM');
      await script.until('it is gone', () => script.emitted('died').length > 0);
      assert.deepStrictEqual(script.emitted('died')[0][1], {
        code: 0,
        signal: null,
        reason: 'leave',
      });
      limit(script.pid, 1024);
      await script.until('waiting clients are answered', () => answered(waiting) === 10);
      await assertAlive(script, idle);
      [...idle, ...waiting].forEach(({ socket }) => socket.destroy());
      script.kill();
      await assertCleanEnd(script);
    });
  }

  it('can be reloaded: idle connections are moved, and waiting ones served', async () => {
    const script = await startServer();
    const idle = await idlers(script, 200);
    script.workers().forEach(exhaust);
    const waiting = askers(script.port, 60);
    await script.until('all are connected', () => waiting.every(({ localPort }) => localPort > 0));
    const used = await load(script.pid);
    assert.ok(used < 0.3, `the master used ${used} of a processor`);
    assert.strictEqual(answered(waiting), 0);
    script.kill('SIGHUP');
    await script.until('waiting clients are answered', () => answered(waiting) === 60);
    await script.until('the old workers are gone', () => script.emitted('died').length === 2);
    assert.ok(
      script.emitted('died').every(([, { reason }]) => reason === 'reload'),
      JSON.stringify(script.emitted('died')),
    );
    await assertAlive(script, idle);
    [...idle, ...waiting].forEach(({ socket }) => socket.destroy());
    script.kill();
    await assertCleanEnd(script);
  });

  it('can be shut down: waiting ones are served once idle ones end', async () => {
    const script = await startServer();
    const idle = await idlers(script, 60);
    script.workers().forEach(exhaust);
    const waiting = askers(script.port, 10);
    await script.until('all are connected', () => waiting.every(({ localPort }) => localPort > 0));
    assert.strictEqual(answered(waiting), 0);
    script.kill();
    await script.until('waiting clients are answered', () => answered(waiting) === 10);
    [...idle, ...waiting].forEach(({ socket }) => socket.destroy());
    await assertCleanEnd(script);
  });

  it('notice that their master is gone, and leave', async () => {
    const script = await startServer();
    const workers = script.workers();
    workers.forEach(exhaust);
    const waiting = askers(script.port, 60);
    await script.until('all are connected', () => waiting.every(({ localPort }) => localPort > 0));
    script.kill('SIGKILL');
    await script.until('they are gone', () => !workers.some(isAlive));
    waiting.forEach(({ socket }) => socket.destroy());
  });

  it('return more idle connections than the channel holds at once, and lose none', async () => {
    const script = await startServer({ options: { noWorkers: 1, shutdownTimeout: 2500 } });
    const idle = await idlers(script, 900);
    script.kill('SIGHUP');
    await script.until('the old worker is gone', () => script.emitted('died').length === 1);
    assert.strictEqual(script.emitted('died')[0][1].reason, 'reload');
    await assertAlive(script, idle);
    assert.deepStrictEqual(script.emitted('warning'), []);
    idle.forEach(({ socket }) => socket.destroy());
  });
});
