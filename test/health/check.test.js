'use strict';

// The health check on the app's port: its bytes are as in the manual, and the app never sees it.

const assert = require('node:assert');
const http2 = require('node:http2');
const https = require('node:https');
const os = require('node:os');
const { once } = require('node:events');
const { HTTP_APPS } = require('../helpers/app-kinds');
const { selfSigned } = require('../helpers/certificate');
const { Connection, request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { needNodeOf } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const { within } = require('../helpers/wait');

const secure = selfSigned();
const DATE =
  '[A-Z][a-z]{2} [A-Z][a-z]{2} \\d\\d \\d{4} \\d\\d:\\d\\d:\\d\\d GMT[+-]\\d{4} \\([A-Z+\\-0-9]+\\)';

/** The response of the manual, with this machine's name and port. */
function manual(status, word, traffic, connection, port) {
  const lines = [
    `HTTP/1\\.1 ${status}`,
    'X-Powered-By: Cluster2',
    'content-type: text/plain',
    `since: ${DATE}`,
    'cache-control: no-cache',
    `Connection: ${connection}`,
    'Transfer-Encoding: chunked',
    '',
    '[0-9a-f]+',
    `status=${word}&ServeTraffic=${traffic}&ip=127\\.0\\.0\\.1&hostname=${os.hostname()}&port=${port}&time=${DATE}`,
    '0',
    '',
    '',
  ];
  return new RegExp(`^${lines.join('\r\n')}$`);
}

const serve = async (options, env) =>
  new Script('health-check.js', { port: await freePort(), options, env }).ready();

/** Returns all bytes of the responses to these requests on one connection. */
async function bytes(port, text, end = '0\r\n\r\n') {
  const client = new Connection(port);
  await client.say(text, end);
  client.socket.end();
  await client.isClosed();
  return client.received;
}

describe('the health check', () => {
  it('answers with the manual’s bytes while healthy, and keeps the connection open', async () => {
    const { port } = await serve();
    const answer = await bytes(port, 'GET /ecv HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.match(answer, manual('200 OK', 'AVAILABLE', true, 'keep-alive', port));
    const client = new Connection(port);
    await client.say('GET /ecv HTTP/1.1\r\nHost: x\r\n\r\n', '\r\n0\r\n\r\n');
    await client.say('GET /next HTTP/1.1\r\nHost: x\r\n\r\n', 'app GET /next');
    client.socket.destroy();
  });

  it('answers with the bytes of the manual when switched off and on', async () => {
    const { port } = await serve({ ecv: { control: true } });
    const switched = new RegExp(
      `^HTTP/1\\.1 204 No Content\r\nX-Powered-By: Cluster2\r\nsince: ${DATE}\r\ncache-control: no-cache\r\n` +
        'Connection: close\r\n\r\n$',
    );
    const post = (what) =>
      bytes(port, `POST /ecv/${what} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`, '\r\n\r\n');
    assert.match(await post('disable'), switched);
    const disabled = await bytes(port, 'GET /ecv HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.match(disabled, manual('400 Bad Request', 'DISABLED', false, 'close', port));
    assert.match(await post('enable'), switched);
    const enabled = await bytes(port, 'GET /ecv HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.match(enabled, manual('200 OK', 'AVAILABLE', true, 'keep-alive', port));
  });

  it('answers HEAD without a body, HTTP/1.0 without chunks, and a path with a query', async () => {
    const { port } = await serve();
    const head = await request(port, '/ecv', { method: 'HEAD' });
    assert.deepStrictEqual(
      [head.status, head.headers['x-powered-by'], head.body],
      [200, 'Cluster2', ''],
    );
    const old = await bytes(port, 'GET /ecv HTTP/1.0\r\n\r\n', 'status=AVAILABLE');
    assert.match(old, /^HTTP\/1\.1 200 OK\r\n[^]*Connection: close\r\n\r\nstatus=AVAILABLE&/);
    assert.doesNotMatch(old, /chunked/i);
    assert.match((await request(port, '/ecv?from=haproxy')).body, /^status=AVAILABLE/);
  });

  it('answers an absolute URL, as some proxies send it', async () => {
    const { port } = await serve();
    assert.match((await request(port, `http://localhost:${port}/ecv`)).body, /^status=AVAILABLE/);
    assert.match((await request(port, `http://localhost:${port}/other`)).body, /^app GET http:/);
  });

  it('answers on open connections after the app closed its server', async () => {
    for (const options of [{}, { cluster: false }]) {
      const script = new Script('health-check.js', { port: await freePort(), options });
      await script.until('it listens', () => request(script.port).then(() => true, () => false));
      const client = new Connection(script.port);
      await client.say('GET /close HTTP/1.1\r\nHost: x\r\n\r\n', 'closed');
      await client.say('GET /ecv HTTP/1.1\r\nHost: x\r\n\r\n', 'status=');
      client.socket.destroy();
      assert.deepStrictEqual(script.emitted('died'), []);
      await script.cleanUp();
    }
    const single = new Script('health-check.js', {
      port: await freePort(),
      options: { cluster: false },
    });
    await single.until('it listens', () =>
      request(single.port).then(
        () => true,
        () => false,
      ),
    );
    const client = new Connection(single.port);
    await client.say('GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'app GET');
    single.kill('SIGTERM');
    await single.until('it says that it leaves', async () => {
      client.received = '';
      await client.say('GET /ecv HTTP/1.1\r\nHost: x\r\n\r\n', 'status=');
      return client.received.includes('status=DISABLED');
    });
    assert.deepStrictEqual(await single.ended(), { code: 0, signal: null });
  });

  it('is DISABLED in an orphan', async () => {
    const script = await new Script('health-check.js', {
      port: await freePort(),
      options: { noWorkers: 1 },
    }).ready(1);
    const client = new Connection(script.port);
    await client.say('GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'app GET');
    script.kill('SIGKILL');
    await script.until('the port is closed', () =>
      request(script.port).then(
        () => false,
        () => true,
      ),
    );
    const asked = new RegExp('status=DISABLED');
    const ask = async () => {
      if (!client.closed) client.socket.write('GET /ecv HTTP/1.1\r\nHost: x\r\n\r\n');
      return asked.test(client.received) || client.closed;
    };
    await script.until('it says so', ask);
    assert.match(client.received, asked);
    client.socket.destroy();
  });

  it('leaves all other requests to the app, even those for control unless it is on', async () => {
    const { port } = await serve();
    for (const [method, path] of [
      ['GET', '/'],
      ['GET', '/ecvs'],
      ['GET', '/ecv/x'],
      ['POST', '/ecv'],
      ['POST', '/ecv/disable'],
    ]) {
      assert.strictEqual((await request(port, path, { method })).body, `app ${method} ${path}`);
    }
    assert.match((await request(port, '/ecv')).body, /^status=AVAILABLE/);
  });

  it('is at the path of the option, and off with `ecv: false`', async () => {
    const other = await serve({ ecv: { path: '/up/there' } });
    assert.match((await request(other.port, '/up/there')).body, /^status=AVAILABLE/);
    assert.strictEqual((await request(other.port, '/ecv')).body, 'app GET /ecv');
    const off = await new Script('http.js', {
      port: await freePort(),
      options: { ecv: false },
    }).ready();
    assert.strictEqual((await request(off.port, '/ecv')).body, 'hello');
  });

  it('is on a unix socket too, with its path as the port', async () => {
    const script = await new Script('http.js', { port: 'app.sock' }).ready();
    const { body } = await request(`${script.cwd}/app.sock`, '/ecv');
    assert.match(
      body,
      /^status=AVAILABLE&ServeTraffic=true&ip=127\.0\.0\.1&hostname=[^&]+&port=[^&]*app\.sock&/,
    );
  });
});

describe('the health check of an app of the kind', () => {
  const start = async (KIND) =>
    new Script('app-kinds.js', {
      port: await freePort(),
      env: { KIND, TLS: JSON.stringify(secure) },
    }).ready();

  for (const kind of HTTP_APPS) {
    it(`${kind} has the headers and the body of the manual`, async function () {
      needNodeOf(this, kind);
      const { port } = await start(kind);
      const options =
        kind === 'https' ? { transport: https, host: 'localhost', family: 4, ca: secure.cert } : {};
      const { status, headers, body } = await request(port, '/ecv', options);
      assert.strictEqual(status, 200);
      assert.match(
        body,
        new RegExp(
          `^status=AVAILABLE&ServeTraffic=true&ip=127.0.0.1&hostname=${os.hostname()}&port=${port}&time=`,
        ),
      );
      const names = [
        'x-powered-by',
        'content-type',
        'since',
        'cache-control',
        'connection',
        'transfer-encoding',
      ];
      // The client of the test asks for Connection: close.
      assert.deepStrictEqual(Object.keys(headers), names);
      assert.strictEqual(headers['x-powered-by'], 'Cluster2');
    });
  }

  for (const kind of ['http2', 'http2s']) {
    it(`${kind} answers streams`, async () => {
      const { port } = await start(kind);
      const client = http2.connect(`${kind === 'http2' ? 'http' : 'https'}://localhost:${port}`, {
        ca: secure.cert,
      });
      const stream = client.request({ ':path': '/ecv' });
      let body = '';
      stream.setEncoding('utf8').on('data', (text) => (body += text));
      const [headers] = await within('headers', once(stream, 'response'));
      await within('the end', once(stream, 'end'));
      assert.strictEqual(headers[':status'], 200);
      assert.match(body, /^status=AVAILABLE&/);
      client.close();
      await within('the session ends', once(client, 'close'));
    });
  }
});
