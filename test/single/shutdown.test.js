'use strict';

// The end of a single process: `shutdown()`, `stop()` and signals. Mocha exits by itself only if
// nothing stays open.

const assert = require('node:assert');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const Cluster = require('../..');
const { Connection, request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { GET, listening, patient, refused, start, stopAll } = require('../helpers/single');
const { elapse, until, within } = require('../helpers/wait');

describe('shutdown() of a single process', () => {
  afterEach(stopAll);

  it('refuses new connections, and answers requests in flight', async () => {
    const port = await freePort();
    const { server, waiting } = patient();
    const cluster = await start(server, { port });
    const inFlight = request(port, '/wait', { headers: { connection: 'keep-alive' } });
    await until('the request has arrived', () => waiting.length === 1);
    assert.deepStrictEqual(await cluster.shutdown(), { running: true, pid: process.pid });
    await refused(port);
    const end = cluster.shutdown({ wait: true });
    waiting[0]();
    const { body, headers } = await inFlight;
    assert.deepStrictEqual([body, headers.connection], ['waited', 'close']);
    await within('nothing is left', end);
  });

  it('answers one more request on an idle connection, with Connection: close', async () => {
    const port = await freePort();
    const cluster = await start(patient().server, { port });
    const [client, silent] = [new Connection(port), new Connection(port)];
    await client.say(GET, 'hello');
    await cluster.shutdown();
    client.received = '';
    await client.say(GET, 'hello');
    assert.match(client.received, /connection: close/i);
    for (const connection of [client, silent]) await connection.isClosed();
    await within('nothing is left', cluster.shutdown({ wait: true }));
  });

  it('emits close on the server while it still answers', async () => {
    const port = await freePort();
    const { server, waiting } = patient();
    const cluster = await start(server, { port });
    const inFlight = request(port, '/wait');
    await until('the request has arrived', () => waiting.length === 1);
    const told = once(server, 'close');
    await cluster.shutdown();
    await within('close is emitted', told);
    waiting[0]();
    assert.strictEqual((await inFlight).body, 'waited');
  });

  it('cuts requests that do not finish in time, and warns', async () => {
    const port = await freePort();
    const { server, waiting } = patient();
    const cluster = await start(server, { port, shutdownTimeout: 200 });
    const inFlight = request(port, '/wait');
    await until('the request has arrived', () => waiting.length === 1);
    const warned = once(cluster, 'warning');
    await Promise.all([
      cluster.shutdown({ wait: true }),
      assert.rejects(inFlight, { code: 'ECONNRESET' }),
    ]);
    const [{ message }] = await warned;
    assert.strictEqual(
      message,
      '1 connection did not finish within 200 ms (shutdownTimeout); it was cut',
    );
  });

  it('does not count time in which the process was stopped', async () => {
    const options = { cluster: false, shutdownTimeout: 2000 };
    const script = new Script('http.js', { port: await freePort(), options });
    const client = new Connection(await listening(script));
    await client.say(`${GET}GET / HTTP/1.1\r\nHo`, 'hello');
    script.kill('SIGTERM');
    await script.until('it drains', () => script.emitted('SIGTERM').length === 1);
    script.kill('SIGSTOP');
    await elapse(2500, 'its deadline would pass');
    script.kill('SIGCONT');
    await elapse(300, 'it would be cut');
    client.received = '';
    await client.say('st: localhost\r\n\r\n', 'hello');
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    assert.deepStrictEqual(script.emitted('warning'), []);
  });

  it('is the effect of SIGTERM and SIGINT, which are emitted as events', async () => {
    for (const signal of ['SIGTERM', 'SIGINT']) {
      const script = new Script('http.js', { port: await freePort(), options: { cluster: false } });
      const client = new Connection(await listening(script));
      await client.say(`${GET}GET / HTTP/1.1\r\nHo`, 'hello');
      script.kill(signal);
      await script.until('the signal is reported', () => script.emitted(signal).length === 1);
      assert.deepStrictEqual(script.emitted(signal)[0], [{ pid: script.pid, type: 'master' }]);
      client.received = '';
      await client.say('st: localhost\r\n\r\n', 'hello');
      assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    }
  });

  it('lets the process exit by itself, with code 0', async () => {
    const port = await freePort();
    const script = new Script('single-shutdown.js', { options: { port } });
    await script.until('it listens', () => script.output === 'up\n');
    const idle = new Connection(port);
    await idle.say(GET, 'hello');
    assert.strictEqual((await request(port, '/shutdown')).body, 'goodbye');
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    assert.strictEqual(script.errors, '');
    await idle.isClosed();
  });
});

describe('stop() of a single process', () => {
  it('cuts requests in flight, and nothing runs any more', async () => {
    const port = await freePort();
    const { server, waiting } = patient();
    const cluster = await start(server, { port });
    const [idle, inFlight] = [new Connection(port), request(port, '/wait')];
    await until('the request has arrived', () => waiting.length === 1);
    const [stopped] = await Promise.all([
      cluster.stop(),
      assert.rejects(inFlight, { code: 'ECONNRESET' }),
    ]);
    assert.deepStrictEqual(stopped, { running: true, pid: process.pid });
    await idle.isClosed();
    await refused(port);
    const again = { pids: fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-')) };
    assert.deepStrictEqual(await new Cluster(again).stop(), { running: false });
    fs.rmdirSync(again.pids);
  });

  it('ends a shutdown that takes too long', async () => {
    const port = await freePort();
    const { server, waiting } = patient();
    const cluster = await start(server, { port });
    const inFlight = assert.rejects(request(port, '/wait'), { code: 'ECONNRESET' });
    await until('the request has arrived', () => waiting.length === 1);
    const shutdown = cluster.shutdown({ wait: true });
    await cluster.stop();
    await inFlight;
    await within('the shutdown is over too', shutdown);
  });
});
