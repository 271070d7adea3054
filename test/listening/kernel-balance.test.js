'use strict';

// `balance: 'kernel'`: each worker accepts on its own listening socket. Changes of workers are
// tested by continuity/kernel-balance.

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { Connection, request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const hammer = require('../helpers/hammer');
const { assertCleanEnd, startServer } = require('../helpers/hammered');
const { freePort } = require('../helpers/ports');

const options = { balance: 'kernel' };
/** How often connections are opened until the master leaves all of them to the workers. */
const ROUNDS = 20;
const QUESTION = 'GET /now/a/0 HTTP/1.1\r\nHost: test\r\n\r\n';
const connectionsOf = ({ workers }, number) =>
  workers.reduce((sum, { connections }) => sum + connections[number], 0);

/** Code of a server that opens as many files as it can on a request for `burst`. */
const BURST = `exports.load = (server) => server.prependListener('request', ({ url }) => {
  try {
    while (url.includes('/burst/')) require('fs').openSync('/dev/null');
  } catch {}
});`;

/** The number of sockets that listen on the port. */
function listening(port) {
  const lines = ['tcp', 'tcp6'].flatMap((name) =>
    fs.readFileSync(`/proc/net/${name}`, 'utf8').split('\n'),
  );
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => local?.endsWith(end) && state === '0A').length;
}

/** Opens `count` connections, each with a request in flight. */
const askers = (port, count) => Array.from({ length: count }, () => {
  const connection = new Connection(port);
  connection.socket.write(QUESTION);
  return connection;
});

/** Waits for the responses. Returns the pids that answered. */
async function answerers(connections) {
  await Promise.all(connections.map((connection) => connection.hears('first')));
  connections.forEach(({ socket }) => socket.destroy());
  return connections.map(({ received }) => Number(received.split(' ').at(-1)));
}

/**
 * Sends many requests at once until each worker has answered: the kernel may pick any.
 */
async function allAnswer(script) {
  const pids = new Set();
  const ask = async () =>
    (await answerers(askers(script.port, 40))).forEach((pid) => pids.add(pid));
  await script.until(
    'all have answered',
    async () => (await ask(), script.workers().every((pid) => pids.has(pid))),
  );
}

/**
 * Checks that the master leaves connections to the workers. On a busy machine it hands on those of
 * a worker that gets no processor for a moment, but not in each round.
 */
async function assertLeftToWorkers(script) {
  const handed = async () => (await script.status()).totals.handed;
  for (let round = 1, before = await handed(); ; round += 1) {
    await answerers(askers(script.port, 40));
    const after = await handed();
    if (after === before) return;
    assert.ok(round < ROUNDS, `the master handed on ${after - before} of 40 connections`);
    before = after;
  }
}

describe("balance: 'kernel'", () => {
  it('gives each worker its own socket, without connections from the master', async () => {
    const script = await startServer({ options: { ...options, noWorkers: 3 } });
    assert.strictEqual(listening(script.port), 3);
    await allAnswer(script);
    await assertLeftToWorkers(script);
  });

  it('counts each connection once, until it is closed', async () => {
    const script = await startServer({ options });
    const open = askers(script.port, 10);
    await script.until(
      'ten are open',
      async () => connectionsOf(await script.status(), 'active') === 10,
    );
    await answerers(open);
    for (let i = 0; i < 20; i++) await request(script.port, '/now/a/0');
    await script.until(
      'all are closed',
      async () => connectionsOf(await script.status(), 'active') === 0,
    );
    const status = await script.status();
    assert.deepStrictEqual([connectionsOf(status, 'total'), status.totals.requests], [30, 30]);
  });

  it('respects maxConnections of the server, and counts correctly', async () => {
    const env = { SERVER: 'net', MAX: '1' };
    const script = await new Script('handed-connections.js', {
      port: await freePort(),
      env,
      options,
    }).ready(1);
    const first = new Connection(script.port);
    await first.hears('welcome');
    const second = new Connection(script.port);
    await second.isClosed();
    assert.strictEqual(second.received, '');
    assert.strictEqual(connectionsOf(await script.status(), 'active'), 1);
    first.socket.end();
    await first.isClosed();
    const third = new Connection(script.port);
    await third.hears('welcome');
    assert.deepStrictEqual(
      script.emitted('message').map(([, { drop }]) => typeof drop),
      ['object'],
    );
    third.socket.destroy();
    await script.until(
      'all are closed',
      async () => connectionsOf(await script.status(), 'active') === 0,
    );
  });

  it('keeps connections that wait for the only worker when it is killed', async () => {
    const script = await startServer({ options: { ...options, noWorkers: 1 } });
    const [stopped] = script.workers();
    process.kill(stopped, 'SIGSTOP');
    const waiting = askers(script.port, 20);
    await script.until('all are connected', () => waiting.every(({ localPort }) => localPort > 0));
    process.kill(stopped, 'SIGKILL');
    const pids = new Set(await answerers(waiting));
    assert.deepStrictEqual([...pids], script.workers());
  });

  it('soon gives connections that wait for a stopped worker to the other', async () => {
    const script = await startServer({ options });
    const [stopped, other] = script.workers();
    process.kill(stopped, 'SIGSTOP');
    const begun = performance.now();
    const pids = new Set(await answerers(askers(script.port, 40)));
    const took = performance.now() - begun;
    process.kill(stopped, 'SIGCONT');
    assert.deepStrictEqual([...pids], [other]);
    assert.ok(took < 500, `${took} ms`);
    // When it continues, it accepts by itself.
    await script.until('it answers', async () =>
      new Set(await answerers(askers(script.port, 10))).has(stopped),
    );
  });

  it('serves the queues of workers that were scaled down, and of new ones later', async () => {
    const script = await startServer({ options: { ...options, noWorkers: 3 } });
    await ask(script.cwd, 'scale', [1]);
    await script.until('one is left', () => script.workers().length === 1);
    assert.deepStrictEqual(
      [...new Set(await answerers(askers(script.port, 60)))],
      script.workers(),
    );
    assert.ok((await script.status()).totals.handed > 0);
    await ask(script.cwd, 'scale', [4]);
    await script.ready(6);
    assert.strictEqual(listening(script.port), 4);
    await answerers(askers(script.port, 20));
    await allAnswer(script);
    await assertLeftToWorkers(script);
  });

  it('does not join other processes on the port, even if they allow it', async () => {
    const owner = await startServer({ options });
    const late = new Script('listen-cases.js', {
      port: owner.port,
      env: { CASE: 'server' },
      options,
    });
    assert.deepStrictEqual(await late.ended(), { code: 255, signal: null });
    assert.strictEqual(
      late.errors,
      `cluster2: address 0.0.0.0:${owner.port} is already in use (CLUSTER2_ERR_PORT_IN_USE)\n`,
    );
    assert.strictEqual(listening(owner.port), 2);
    await request(owner.port, '/now/a/0');
  });

  it('finds one free port for all workers, and two for two apps', async () => {
    const script = await new Script('ports.js', {
      env: { APPS: '[0, 0]' },
      options: { ...options, noWorkers: 3 },
    }).ready(3);
    await script.until('all say where they listen', () => script.emitted('message').length === 3);
    const [[, first], ...others] = script.emitted('message');
    for (const [, other] of others) assert.deepStrictEqual(other, first);
    const ports = first.map(({ port }) => port);
    assert.notStrictEqual(ports[0], ports[1]);
    assert.deepStrictEqual(ports.map(listening), [3, 3]);
    assert.deepStrictEqual(await namesAt(ports), ['app 0', 'app 1']);
  });

  it('shares one unix socket', async () => {
    const script = await startServer({ port: 'app.sock', options });
    const load = hammer.start(path.join(script.cwd, 'app.sock'));
    await load.answered(100);
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
    await load.answered(100);
    hammer.assertClean(await load.stop());
    assert.ok((await script.status()).totals.handed > 0);
  });

  it('frees the port at once when the master is killed, even if a worker is stuck', async () => {
    const script = await startServer({ options: { ...options, shutdownTimeout: 20_000 } });
    new Connection(script.port).socket.write('GET /block/b/15000 HTTP/1.1\r\nHost: test\r\n\r\n');
    await script.until('a worker is stuck', () =>
      script.events({ allProcesses: true }).some(([name]) => name === 'blocking'),
    );
    script.kill('SIGKILL');
    await script.exited();
    await script.until('the port is closed', () => listening(script.port) === 0, 1000);
    const next = await startServer({ port: script.port, options });
    await request(next.port, '/now/a/0');
  });

  // A connection that arrives in the moment in which the last descriptor is used may be lost
  // (docs/internals/continuity.md).
  it('stops accepting in a worker without descriptors, and loses none after that', async () => {
    const cwd = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-burst-'));
    fs.writeFileSync(path.join(cwd, 'app.js'), BURST);
    const script = await startServer({ options, cwd, descriptors: 200 });
    const worker = (await request(script.port, '/now/burst/0')).body.split(' ').at(-1);
    const isServing = async () =>
      (await request(script.port, '/now/after/0')).body.endsWith(` ${worker}`);
    await script.until('it serves what the master hands over', () =>
      isServing().catch(() => false),
    );
    const clients = hammer.start(script.port, { clients: { oneShot: 6 } });
    await clients.answered(300);
    hammer.assertClean(await clients.stop());
    script.kill();
    await assertCleanEnd(script);
    fs.rmSync(cwd, { recursive: true });
  });

  it('leaks no descriptor to children of a worker', async () => {
    const script = await new Script('leftover-children.js', {
      port: await freePort(),
      options,
    }).ready(1);
    const child = Number(/\d+/.exec((await request(script.port, '/start')).body)[0]);
    const descriptors = fs.readdirSync(`/proc/${child}/fd`);
    process.kill(child, 'SIGKILL');
    assert.deepStrictEqual(descriptors, ['0', '1', '2']);
  });

  it('works for a plain script too', async () => {
    const port = await freePort();
    const script = await new Script('plain.js', {
      port,
      cli: ['--balance', 'kernel', '--port', String(port), '--workers', '2'],
    }).ready();
    assert.strictEqual(listening(port), 2);
    await assertLeftToWorkers(script);
    script.kill();
    await script.ended();
  });

  it('ends with empty queues and a free port', async () => {
    const script = await startServer({ options });
    const load = hammer.start(script.port, {
      clients: { oneShot: 12, keepAlive: 6 },
      untilRefused: true,
    });
    await load.answered(200);
    script.kill();
    hammer.assertClean(await load.stop(), {
      except: ['refused', 'reconnects', 'toldToClose', 'dropped'],
    });
    await assertCleanEnd(script);
    assert.strictEqual(listening(script.port), 0);
  });
});

const namesAt = (ports) =>
  Promise.all(ports.map(async (port) => JSON.parse((await request(port)).body).name));
