'use strict';

// The option `overload`: connections that wait for too long are answered 503 by the master.

const assert = require('node:assert');
const https = require('node:https');
const { selfSigned } = require('../helpers/certificate');
const { Connection, request } = require('../helpers/client');
const { cluster2 } = require('../helpers/cli');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
const CHECK = 'GET /ecv HTTP/1.1\r\nHost: x\r\n\r\n';
const REFUSED =
  'HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n' +
  'Content-Length: 0\r\nConnection: close\r\n\r\n';

/** Starts one worker, so it is clear which one is blocked. */
async function serve(overload, { options, ...settings } = {}) {
  const port = await freePort();
  const all = { noWorkers: 1, overload, ...options };
  return new Script('seize.js', { port, options: all, ...settings }).ready(1);
}

/** Blocks the worker. Returns once it is blocked, with the connection that ends after that. */
async function block({ port }, ms) {
  const client = new Connection(port);
  await client.say(`GET /block?${ms} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, 'HTTP/1.1');
  return client;
}

/** Connects and asks `count` times, one after another. Returns the connections. */
async function ask(port, count, text) {
  const clients = [];
  for (let index = 0; index < count; index++) {
    const client = new Connection(port);
    await until('it is connected', () => client.localPort);
    client.socket.write(text);
    clients.push(client);
  }
  return clients;
}

const closed = (clients) => Promise.all(clients.map((client) => client.isClosed()));
const received = (clients) => clients.map((client) => client.received);
const errors = (clients) => clients.map((client) => client.error).filter(Boolean);

describe('with the option overload', () => {
  it('connections that wait for too long get 503, and this is reported', async () => {
    const monPort = await freePort();
    const script = await serve({ delay: 100 }, { options: { monPort } });
    const blocking = await block(script, 1500);
    const clients = await ask(script.port, 5, GET);
    await closed(clients);
    assert.deepStrictEqual(received(clients), Array(5).fill(REFUSED));
    assert.deepStrictEqual(errors(clients), []);
    await script.until('it is reported', () => script.emitted('overload').length > 0);
    const [begin] = script.emitted('overload');
    assert.deepStrictEqual([begin[0].active, begin[0].duration], [true, undefined]);
    const { totals, overload, events } = await script.status();
    assert.deepStrictEqual([totals.shed, overload.shed], [5, 5]);
    assert.ok(Date.now() - Date.parse(overload.since) < 10_000);
    assert.match(events.find(({ type }) => type === 'overload').message, /answered 503/);
    const { stdout } = cluster2(script.cwd, 'status');
    assert.match(stdout, /OVERLOAD for .*: 5 connections got a 503/);
    const { body } = await request(monPort, '/metrics');
    assert.match(body, /^cluster2_connections_shed_total 5\.0$/m);
    assert.match(body, /^cluster2_overloaded 1\.0$/m);
    await blocking.isClosed();
    assert.strictEqual((await request(script.port)).status, 200);
    await script.until('it is over', () => script.emitted('overload').length > 1);
    const [, [{ active, shed, duration }]] = script.emitted('overload');
    assert.deepStrictEqual([active, shed], [false, 5]);
    assert.ok(duration >= 0 && duration < 5000);
    assert.strictEqual((await script.status()).overload, null);
  });

  it('health checks are answered by the worker, and the youngest connections wait', async () => {
    const options = { ecv: { monitor: '/alive' } };
    const script = await serve({ waiting: 2 }, { options });
    await block(script, 1000);
    const checks = await ask(script.port, 2, CHECK);
    const probes = await ask(script.port, 2, GET.replace('/', '/alive'));
    const old = await ask(script.port, 3, GET);
    const young = await ask(script.port, 2, GET);
    await closed(old);
    assert.deepStrictEqual(received(old), Array(3).fill(REFUSED));
    await Promise.all(checks.map((client) => client.hears('status=AVAILABLE')));
    await Promise.all([...probes, ...young].map((client) => client.hears('200 OK')));
    [...checks, ...probes, ...young].forEach((client) => client.socket.destroy());
  });

  it('a client that sends a long body reads its 503', async () => {
    const script = await serve({ delay: 50 });
    await block(script, 500);
    const { status } = await request(script.port, '/', { method: 'POST', body: 'x'.repeat(1e6) });
    assert.strictEqual(status, 503);
  });

  it('the limit holds for all ports of an HTTP server', async () => {
    const port = [await freePort(), await freePort()];
    await serve({ delay: 50 }, { options: { port } });
    await block({ port: port[0] }, 500);
    for (const one of port) assert.strictEqual((await request(one)).status, 503);
  });

  it('connections of a server with TLS still wait', async () => {
    const secure = selfSigned();
    const port = await freePort();
    const env = { KIND: 'https', TLS: JSON.stringify(secure) };
    const options = { noWorkers: 1, overload: { waiting: 1, delay: 50 } };
    const script = await new Script('hammered.js', { port, env, options }).ready(1);
    const get = (path) =>
      request(port, path, { transport: https, ca: secure.cert, servername: 'localhost' });
    const blocking = get('/block/1/400');
    await script.until('it is blocked', () =>
      script.events({ allProcesses: true }).some(([name]) => name === 'blocking'));
    const answers = await Promise.all([2, 3, 4].map((id) => get(`/now/${id}/0`)));
    assert.deepStrictEqual(answers.map(({ status }) => status), [200, 200, 200]);
    assert.strictEqual((await blocking).status, 200);
    assert.strictEqual((await script.status()).totals.shed, 0);
  });
});
