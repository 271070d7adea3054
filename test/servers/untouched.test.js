'use strict';

// Whatever we add to a server, a socket or a session changes neither what Node does with it nor
// what an app can see: each kind of server is compared with the same one in plain Node.

const assert = require('node:assert');
const { once } = require('node:events');
const http2 = require('node:http2');
const https = require('node:https');
const net = require('node:net');
const tls = require('node:tls');
const { selfSigned } = require('../helpers/certificate');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { until, within } = require('../helpers/wait');

const TLS = selfSigned();
const CLI = ['--workers', '1', '--mon-port', 'off'];
/** The ways to run a server, except plain Node. */
const MODES = {
  'under cluster2 start': { mode: 'alone', cli: CLI },
  'under cluster2 start without the health check': { mode: 'alone', cli: [...CLI, '--no-ecv'] },
  'by the API': { mode: 'api' },
  'with cluster: false': { mode: 'single' },
};

/** Starts a script with a server of this kind, and waits until it listens. */
async function serve(kind, { mode, cli }) {
  const env = { KIND: kind, MODE: mode, TLS: JSON.stringify(TLS) };
  const script = new Script('server-behaviour.js', { port: await freePort(), env, cli });
  const listens = async () => {
    const socket = net.connect(script.port, '127.0.0.1');
    const opened = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]);
    socket.destroy();
    return opened;
  };
  await script.until('it listens', () => listens().catch(() => false));
  return script;
}

async function textOf(stream) {
  let all = '';
  for await (const text of stream.setEncoding('utf8')) all += text;
  return all;
}

/** Not `once`, which rejects on an error that other listeners handle. */
const closed = (stream) => new Promise((resolve) => stream.once('close', resolve));
const origin = (port, secure) => `http${secure ? 's' : ''}://127.0.0.1:${port}`;

/** Calls `use` with an HTTP/2 session. */
async function withSession(port, secure, use) {
  const session = http2.connect(origin(port, secure), {
    ca: TLS.cert,
    servername: 'localhost',
    rejectUnauthorized: false,
  });
  session.on('error', () => {});
  try {
    await once(session, 'connect');
    return await use(session);
  } finally {
    session.destroy();
  }
}

/** Sends a request, and returns everything that comes back. */
async function exchange(session, headers, options) {
  const stream = session.request({ ':path': '/', ...headers }, options);
  const came = [];
  stream.on('continue', () => came.push('100'));
  stream.on('response', (answer) => came.push(answer[':status']));
  stream.on('trailers', (trailers) => came.push({ ...trailers }));
  stream.on('error', ({ code, message }) => came.push(code, message));
  stream.setEncoding('utf8').on('data', (text) => came.push(text));
  if (!options?.endStream && !stream.writableEnded) stream.end();
  await closed(stream);
  return came;
}

/** The behaviour of an HTTP/2 server, by request. */
async function behaviour(port, secure) {
  const asked = {
    trailers: {},
    'extended CONNECT': { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http' },
    'Expect: 100-continue': { ':method': 'POST', expect: '100-continue' },
    HEAD: { ':method': 'HEAD' },
  };
  const found = {};
  for (const [name, headers] of Object.entries(asked)) {
    found[name] = await withSession(port, secure, async (session) => {
      if (!session.remoteSettings.enableConnectProtocol) await once(session, 'remoteSettings');
      return exchange(session, headers, { endStream: name === 'HEAD' });
    });
  }
  // A stream that the client cancels is an error of the stream, which must not be swallowed.
  await withSession(port, secure, async (session) => {
    const stream = session.request({ ':path': '/hangs' }).on('error', () => {});
    session.ping(() => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR));
    await closed(stream);
    await until('the error was reported', async () =>
      (await told(port, secure)).includes('ERR_HTTP2_STREAM_ERROR'),
    );
  });
  // The outcome of the sessions that these clients broke off depends on timing.
  found.told = JSON.parse(await told(port, secure)).filter(
    (text) => !text.startsWith('sessionError'),
  );
  return found;
}

const told = (port, secure) =>
  withSession(port, secure, async (session) => textOf(session.request({ ':path': '/told' })));

/** The properties of its server and of a connection that an app can see. */
const SEEN = {
  net: (port) => textOf(net.connect(port, '127.0.0.1')),
  tls: (port) => textOf(tls.connect(port, '127.0.0.1', { rejectUnauthorized: false })),
  http: async (port) => (await request(port, '/')).body,
  https: async (port) =>
    (await request(port, '/', { transport: https, rejectUnauthorized: false })).body,
  http2: (port) =>
    withSession(port, false, (session) => textOf(session.request({ ':path': '/seen' }))),
  http2s: (port) =>
    withSession(port, true, (session) => textOf(session.request({ ':path': '/seen' }))),
};

/** A TLS client that speaks only HTTP/1. */
const http1Only = (port) => {
  const socket = tls.connect(port, '127.0.0.1', { rejectUnauthorized: false, ALPNProtocols: [] });
  socket.on('error', () => {});
  return textOf(
    socket.on('secureConnect', () => socket.write('GET / HTTP/1.1\r\nHost: test\r\n\r\n')),
  );
};

/** The behaviour of a server without a listener, or with only its own event. */
const DOES = {
  strict: http1Only,
  strange: http1Only,
  idle: (port) =>
    withSession(port, false, (session) =>
      within(
        'it is ended',
        closed(session).then(() => 'ended'),
      ),
    ),
  continues: async (port) =>
    (await request(port, '/', { headers: { expect: '100-continue' } })).body,
  silent: (port) =>
    withSession(port, false, async (session) => {
      const stream = session
        .request({ ':path': '/' })
        .on('response', () => assert.fail('answered'));
      await new Promise((resolve) => session.ping(resolve));
      stream.close();
      return 'not answered';
    }),
};

for (const [kind, ask] of Object.entries(DOES)) {
  it(`a ${kind} server behaves as in plain Node`, async () => {
    const found = {};
    for (const [name, how] of Object.entries({ 'plain Node': { mode: 'alone' }, ...MODES })) {
      const script = await serve(kind, how);
      found[name] = await ask(script.port);
      await script.cleanUp();
    }
    const [expected] = Object.values(found);
    assert.ok(expected.length > 0);
    for (const what of Object.values(found)) assert.strictEqual(what, expected);
  });
}

for (const [kind, see] of Object.entries(SEEN)) {
  describe(`a ${kind} server has the same properties as in plain Node`, () => {
    let expected;
    before(async () => {
      const script = await serve(kind, { mode: 'alone' });
      expected = { seen: JSON.parse(await see(script.port)) };
      if (kind.startsWith('http2')) expected.does = await behaviour(script.port, kind === 'http2s');
      await script.cleanUp();
    });

    for (const [name, how] of Object.entries(MODES)) {
      it(name, async () => {
        const script = await serve(kind, how);
        assert.deepStrictEqual(JSON.parse(await see(script.port)), expected.seen);
        if (expected.does)
          assert.deepStrictEqual(await behaviour(script.port, kind === 'http2s'), expected.does);
      });
    }
  });
}
