'use strict';

// Every kind of app that the manual and the README name, in two workers.

const assert = require('node:assert');
const http = require('node:http');
const http2 = require('node:http2');
const https = require('node:https');
const tls = require('node:tls');
const Cluster = require('../..');
const { HTTP_APPS } = require('../helpers/app-kinds');
const { selfSigned } = require('../helpers/certificate');
const { Connection, answersOfAll, request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { needNodeOf } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const { until, within } = require('../helpers/wait');

const BIG = 'x'.repeat(1024 * 1024);
const secure = selfSigned();
const trusting = { transport: https, host: 'localhost', family: 4, ca: secure.cert };

async function serve(kind) {
  return new Script('app-kinds.js', {
    port: await freePort(),
    env: { KIND: kind, TLS: JSON.stringify(secure) },
  }).ready();
}

/**
 * Checks that both workers answer and see the client's address. `question` resolves to `<pid>
 * <address> <port>`.
 */
async function bothAnswer(script, question) {
  const seen = async () => {
    const who = await question();
    assert.match(who, /^\d+ 127\.0\.0\.1 \d+$/);
    return { pid: Number.parseInt(who) };
  };
  await answersOfAll(script.workers(), seen);
}

/** Calls `shutdown()` while a request is in flight, and checks that it is answered. */
async function shutDownWhileBusy(script, answer) {
  const cluster = new Cluster({ pids: script.pids });
  const active = async () =>
    (await cluster.status()).workers.reduce((sum, { requests }) => sum + requests.active, 0);
  await script.until('the request has arrived', () => script.emitted('message').length === 1);
  await until('it alone is counted', async () => (await active()) === 1);
  await cluster.shutdown();
  await cluster.broadcast('go on');
  const result = await answer;
  assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  return result;
}

describe('an app of the kind', () => {
  for (const kind of HTTP_APPS) {
    it(`${kind} runs in all workers, which see the client's address`, async function () {
      needNodeOf(this, kind);
      const script = await serve(kind);
      const options = kind === 'https' ? trusting : {};
      await bothAnswer(script, async () => (await request(script.port, '/', options)).headers.who);
      const { body } = await request(script.port, '/', { ...options, method: 'POST', body: BIG });
      assert.ok(body === BIG, 'a megabyte comes back as it was sent');
      if (kind.startsWith('express'))
        assert.strictEqual((await request(script.port, '/hello/you')).body, 'hello you');
      const slow = request(script.port, '/slow', { ...options, method: 'POST', body: 'in flight' });
      assert.strictEqual((await shutDownWhileBusy(script, slow)).body, 'in flight');
    });
  }

  for (const kind of ['http2', 'http2s']) {
    it(`${kind} runs in all workers, and finishes streams in flight in a shutdown`, async () => {
      const script = await serve(kind);
      const clients = [];
      await bothAnswer(script, async () => {
        clients.push(http2Client(kind, script.port));
        const { headers, body } = await stream(clients.at(-1), '/', BIG);
        assert.ok(body === BIG, 'a megabyte comes back as it was sent');
        return headers.who;
      });
      const [first, ...others] = clients;
      const closed = Promise.all(
        clients.map((client) => new Promise((resolve) => client.once('close', resolve))),
      );
      others.forEach((client) => client.close());
      const { body } = await shutDownWhileBusy(script, stream(first, '/slow', 'in flight'));
      assert.strictEqual(body, 'in flight');
      await within('the sessions are closed', closed);
    });
  }

  it('Nest on Fastify runs in all workers', async function () {
    needNodeOf(this, 'fastify');
    const script = await new Script('nest-fastify.mjs', { port: await freePort() }).ready();
    const hello = async () => ({
      pid: Number((await request(script.port)).body.replace('hello from ', '')),
    });
    await answersOfAll(script.workers(), hello);
  });

  it('net runs in all workers, and both directions end independently', async () => {
    const script = await serve('net');
    const connections = [];
    await bothAnswer(script, async () => {
      connections.push(new Connection(script.port));
      await connections.at(-1).say('hello\n', 'hello\n');
      return connections.at(-1).received.split('\n')[0];
    });
    assert.match(
      connections[0].received.split('\n')[0],
      new RegExp(` ${connections[0].localPort}$`),
    );
    for (const connection of connections) connection.socket.end('bye');
    for (const connection of connections) await connection.isClosed();
    assert.ok(connections.every(({ received }) => received.endsWith('hello\nbye')));
  });

  it('tls runs in all workers', async () => {
    const script = await serve('tls');
    await bothAnswer(script, async () => {
      const connection = new Connection({
        via: tls,
        port: script.port,
        host: 'localhost',
        family: 4,
        ca: secure.cert,
      });
      await connection.hears('\n');
      connection.socket.end();
      return connection.received.trim();
    });
  });
});

function http2Client(kind, port) {
  const client = http2.connect(
    kind === 'http2s' ? `https://localhost:${port}` : `http://127.0.0.1:${port}`,
    {
      ca: secure.cert,
      family: 4,
    },
  );
  return client.on('error', () => {});
}

function stream(client, path, body) {
  return new Promise((resolve, reject) => {
    const sent = client.request({ ':path': path, ':method': 'POST' });
    let headers;
    let text = '';
    sent
      .setEncoding('latin1')
      .on('response', (received) => (headers = received))
      .on('data', (chunk) => (text += chunk));
    sent.on('end', () => resolve({ headers, body: text })).on('error', reject);
    sent.end(body);
  });
}

describe('for a connection that was handed to a worker', () => {
  const start = async (env, options) =>
    new Script('handed-connections.js', { port: await freePort(), env, options }).ready(1);

  it('net.Server counts it, and the socket knows both addresses', async () => {
    const script = await start({ SERVER: 'net', SERVER_OPTIONS: '{"allowHalfOpen":true}' });
    const [first, second] = [new Connection(script.port), new Connection(script.port)];
    await first.hears('welcome');
    await second.hears('welcome');
    assert.deepStrictEqual(await lastWords(first), {
      connections: 2,
      noDelay: false,
      keepAlive: false,
      remoteAddress: '127.0.0.1',
      remotePort: first.localPort,
      remoteFamily: 'IPv4',
      localAddress: '127.0.0.1',
      localPort: script.port,
      paused: false,
      ours: true,
    });
    await first.isClosed();
    assert.strictEqual(
      (await lastWords(second)).connections,
      1,
      'the first one is not counted any more',
    );
  });

  it('`noDelay`, `keepAlive` and `pauseOnConnect` of the server apply', async () => {
    const script = await start({
      SERVER: 'net',
      SERVER_OPTIONS: '{"noDelay":true,"keepAlive":true,"pauseOnConnect":true}',
    });
    const { noDelay, keepAlive, paused } = await lastWords(new Connection(script.port));
    assert.deepStrictEqual(
      { noDelay, keepAlive, paused },
      { noDelay: true, keepAlive: true, paused: true },
    );
  });

  it('http.Server disables Nagle’s algorithm, as in plain Node, and counts it', async () => {
    const script = await start({ SERVER: 'http' });
    const agent = new http.Agent({ keepAlive: true });
    const waiting = new Connection(script.port);
    await waiting.say('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', '"connections":1');
    const { noDelay, connections } = JSON.parse((await request(script.port, '/', { agent })).body);
    assert.deepStrictEqual({ noDelay, connections }, { noDelay: true, connections: 2 });
    assert.strictEqual(
      JSON.parse((await request(script.port, '/', { agent })).body).connections,
      2,
      'the same connection again',
    );
    agent.destroy();
  });

  it('`maxConnections` applies, and `drop` is emitted for each further one', async () => {
    const script = await start({ SERVER: 'net', MAX: '2' });
    const guests = [new Connection(script.port), new Connection(script.port)];
    for (const guest of guests) await guest.hears('welcome');
    const tooMany = new Connection(script.port);
    await tooMany.isClosed();
    assert.strictEqual(tooMany.received, '');
    await script.until('the drop is reported', () => script.emitted('message').length > 0);
    const [[, { drop }]] = script.emitted('message');
    assert.strictEqual(drop.remotePort, tooMany.localPort);
    assert.strictEqual(drop.localPort, script.port);
    guests[0].socket.destroy();
    const status = async () =>
      (await new Cluster({ pids: script.pids }).status()).workers[0].connections;
    await until('the place is free', async () => (await status()).active === 1);
    await new Connection(script.port).hears('welcome');
  });

  it('all this holds for connections of further ports too', async () => {
    const port = [await freePort(), await freePort()];
    await start({ SERVER: 'net', MAX: '2', SERVER_OPTIONS: '{"allowHalfOpen":true}' }, { port });
    const guests = port.map((one) => new Connection(one));
    for (const guest of guests) await guest.hears('welcome');
    for (const one of port) {
      const tooMany = new Connection(one);
      await tooMany.isClosed();
      assert.strictEqual(tooMany.received, '');
    }
    const { connections, ours, localPort } = await lastWords(guests[1]);
    assert.deepStrictEqual(
      { connections, ours, localPort },
      { connections: 2, ours: true, localPort: port[1] },
    );
  });
});

/** Ends our half, and reads the server's answer to that. */
async function lastWords(connection) {
  connection.socket.end();
  await until('the server has ended the connection', () => connection.ended);
  return JSON.parse(connection.received.replace('welcome\n', ''));
}
