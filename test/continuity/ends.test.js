'use strict';

// A worker that ends by a JavaScript error or by `process.exit()` hands its idle connections over:
// their clients notice nothing. Connections that are in use or cannot be moved end with it.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { Connection } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { NODE } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');

const get = (path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const FIXTURE = path.join(__dirname, '..', 'fixtures', 'ends.js');

async function start({ options, env } = {}) {
  const workers = options?.noWorkers ?? 2;
  return new Script('ends.js', { port: await freePort(), options, env }).ready(workers);
}

/** Returns the pid of the worker that answers on a connection. */
async function pidOf(connection, request = get('/')) {
  connection.received = '';
  await connection.say(request, ' end');
  return Number(connection.received.match(/pid (\d+) end/)[1]);
}

/** Returns connections, each after one request, with the pids of their workers. */
async function idle(port, count) {
  const all = Array.from({ length: count }, () => ({ connection: new Connection(port) }));
  await Promise.all(all.map(async (one) => (one.pid = await pidOf(one.connection))));
  return all;
}

/** Makes a worker end by a request on a connection, by default a new one. Returns its pid. */
async function endBy(script, path, connection = new Connection(script.port)) {
  const died = script.emitted('died').length;
  const pid = await pidOf(connection);
  connection.socket.write(get(path));
  await script.until('it is gone', () => script.emitted('died').length > died);
  const [last, death] = script.emitted('died').at(-1);
  assert.strictEqual(last, pid);
  return { pid, death };
}

/** Checks that all connections are open, and are answered by other workers than this one. */
async function assertServed(connections, gone) {
  const open = connections.filter(({ connection }) => !connection.closed);
  assert.strictEqual(open.length, connections.length, 'some connections have ended');
  const pids = await Promise.all(connections.map(({ connection }) => pidOf(connection)));
  assert.ok(!pids.includes(gone));
}

/** Ends the script in plain Node by a request. Returns its exit code and its standard error. */
async function inPlainNode(path) {
  const port = await freePort();
  const env = { ...process.env, PLAIN: 'yes', PORT: String(port) };
  const child = spawn(NODE, [FIXTURE], { env, stdio: ['ignore', 'inherit', 'pipe'] });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
  const ended = once(child, 'close');
  await until('it ends', async () => {
    const connection = new Connection(port);
    connection.socket.write(get(path));
    await connection.isClosed();
    return child.exitCode !== null;
  });
  const [code] = await ended;
  return { code, errors };
}

/** The output without stack frames, some of which are ours. */
const withoutStack = (text) => text.replaceAll(/^ +at .*\n/gm, '');

/** The ways in which `fixtures/ends.js` ends, and their exit codes. */
const ENDS = {
  '/throw': 1,
  '/throw-later': 1,
  '/throw-after-answer': 1,
  '/reject': 1,
  '/exit': 3,
  '/exit-in-handler': 4,
  '/throw-in-exit': 1,
  '/exit-throws': 5,
};

describe('a worker that ends by itself', () => {
  it('hands its idle connections over, however it ends', async () => {
    const script = await start();
    const used = await idle(script.port, 40);
    const fresh = Array.from({ length: 20 }, () => ({ connection: new Connection(script.port) }));
    await until('all have connected', async () => {
      const { workers } = await script.status();
      return workers.reduce((sum, { connections }) => sum + connections.active, 0) >= 60;
    });
    for (const [path, code] of Object.entries(ENDS)) {
      const { pid, death } = await endBy(script, path);
      assert.deepStrictEqual(death, { code, signal: null, reason: 'crash' }, path);
      await assertServed(used, pid);
      await script.until('another one is there', () => script.workers().length === 2);
    }
    await assertServed(fresh);
  });

  it('ends and prints as in plain Node', async () => {
    const script = await start({ options: { noWorkers: 1 } });
    for (const path of Object.keys(ENDS)) {
      const before = script.errors.length;
      const { death } = await endBy(script, path);
      const { code, errors } = await inPlainNode(path);
      assert.strictEqual(death.code, code);
      assert.match(errors, /^exit listener/);
      const printed = () => withoutStack(script.errors.slice(before));
      await script.until(`it prints ${errors}`, () => printed() === withoutStack(errors));
    }
  });

  it('hands over more than its channel holds', async () => {
    const script = await start();
    const all = await idle(script.port, 1500);
    // The worker that has most of them: on a busy machine one may have got far more than half.
    const half = all.filter((one) => one.pid === all[0].pid).length;
    const [last] = half >= 750 ? [all[0]] : all.filter((one) => one.pid !== all[0].pid);
    const { pid } = await endBy(script, '/throw', last.connection);
    await assertServed(all.filter((one) => one !== last), pid);
  });

  it('hands over connections that it has accepted and not served yet', async () => {
    const script = await start({ options: { noWorkers: 1 } });
    const [{ connection, pid }] = await idle(script.port, 1);
    connection.socket.write(get('/exit-in-connection'));
    await script.until('it waits for one', () => script.errors.includes('the next connection'));
    const others = Array.from({ length: 20 }, () => new Connection(script.port));
    const pids = await Promise.all(others.map((other) => pidOf(other)));
    assert.ok(!pids.includes(pid));
    await connection.isClosed();
  });

  it('leaves them to its successor if it is the only one', async () => {
    const script = await start({ options: { noWorkers: 1 } });
    const all = await idle(script.port, 10);
    const { pid } = await endBy(script, '/throw');
    await assertServed(all, pid);
  });

  for (const [arrival, most] of Object.entries({ throws: 2, 'throws later': 11 })) {
    it(`by a connection that ${arrival} does not end worker after worker`, async () => {
      const script = await start({ options: { noWorkers: 1 }, env: { ARRIVAL: arrival } });
      const connection = new Connection(script.port);
      await connection.isClosed();
      await script.until(`${most} have ended`, () => script.emitted('died').length === most);
      await script.until('another one is there', () => script.workers().length === 1);
    });
  }

  it('ends connections with a request that it executes or has partly read', async () => {
    const script = await start({ options: { noWorkers: 1 } });
    const [half, second, taken] = await idle(script.port, 3);
    half.connection.socket.write('GET / HTT');
    second.connection.socket.write(`${get('/')}GET / HTT`);
    taken.connection.socket.write(get('/never'));
    await taken.connection.hears(' end');
    await pidOf((await idle(script.port, 1))[0].connection);
    await endBy(script, '/throw');
    for (const { connection } of [half, second, taken]) await connection.isClosed();
  });

  it('ends a connection of which the app has read more than Node’s parser', async () => {
    const script = await start({ options: { noWorkers: 1 }, env: { READS: 'yes' } });
    const [{ connection }] = await idle(script.port, 1);
    connection.socket.write(get('/in-data'));
    await connection.isClosed();
  });

  it('ends idle connections with moveIdle: false', async () => {
    const script = await start({ options: { noWorkers: 1, moveIdle: false } });
    const [{ connection }] = await idle(script.port, 1);
    await endBy(script, '/exit');
    await connection.isClosed();
  });

  it('keeps all its connections if the error is handled', async () => {
    const script = await start({ options: { noWorkers: 1 } });
    const all = await idle(script.port, 5);
    const connection = new Connection(script.port);
    await connection.say(get('/handled'), `lives ${all[0].pid}`);
    await until('nothing of the end is left', async () => {
      const other = new Connection(script.port);
      await other.say(get('/emits'), ' end');
      return other.received.includes('own false end');
    });
    for (const one of all) assert.strictEqual(await pidOf(one.connection), one.pid);
  });
});
