'use strict';

// The option `timeout`: connections that are idle for so long are ended and counted, except those
// with their own time-out.

const assert = require('node:assert');
const { once } = require('node:events');
const http2 = require('node:http2');
const net = require('node:net');
const tls = require('node:tls');
const Cluster = require('../..');
const { Counters } = require('../../lib/http/counters');
const { IdleTimeout } = require('../../lib/http/idle-timeout');
const { Traffic } = require('../../lib/http/traffic');
const { selfSigned } = require('../helpers/certificate');
const { Connection } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { elapse, every, until, within } = require('../helpers/wait');

const TIMEOUT = 400;
const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
const UPGRADE = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n';
const secure = selfSigned();

/** Starts the fixture with these servers. `connect(name)` opens a connection to one of them. */
async function serve(timeout, ...names) {
  const ports = {};
  for (const name of names) ports[name] = await freePort();
  const env = { PORTS: JSON.stringify(ports), SLOW: 3 * timeout, TLS: JSON.stringify(secure) };
  const script = await new Script('idle-timeout.js', { env, options: { timeout } }).ready(1);
  const connect = (name) => new Connection(ports[name]);
  const status = () => new Cluster({ pids: script.pids }).status();
  const timedOut = async (count) => {
    await until(`${count} are counted`, async () => (await status()).totals.timedOut === count);
    const { workers, totals } = await status();
    assert.deepStrictEqual([workers[0].connections.timedOut, totals.timedOut], [count, count]);
  };
  return { script, ports, connect, status, timedOut };
}

/** A connection that sends something every 50 ms as long as it can. */
function chatter(connection, message) {
  const stop = every(50, () => connection.socket.write(message));
  connection.socket.on('close', stop);
  return connection;
}

const connectTls = (port) =>
  new Connection({ via: tls, port, host: 'localhost', family: 4, ca: secure.cert });

describe('the idle time-out', () => {
  it('ends an idle net connection, and counts it', async () => {
    const { connect, timedOut, status } = await serve(TIMEOUT, 'net');
    const [silent, spoke] = [connect('net'), connect('net')];
    await spoke.say('hello', 'hello');
    const begun = performance.now();
    await spoke.isClosed();
    assert.ok(performance.now() - begun > TIMEOUT * 0.9, 'not before its time');
    await silent.isClosed();
    assert.ok(silent.ended && spoke.ended, 'politely');
    await timedOut(2);
    await until('none is active', async () =>
      (await status()).workers[0].connections.active === 0);
  });

  it('ends an idle HTTP connection before, between and within requests', async () => {
    const { connect, timedOut } = await serve(TIMEOUT, 'http');
    const [silent, between, half] = [connect('http'), connect('http'), connect('http')];
    await between.say(GET, 'an answer');
    half.socket.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf');
    for (const connection of [silent, between, half]) await connection.isClosed();
    await timedOut(3);
  });

  it('ends an HTTPS connection', async () => {
    const { ports, timedOut } = await serve(TIMEOUT, 'https');
    const shaken = connectTls(ports.https);
    await shaken.say(GET, 'an answer');
    await shaken.isClosed();
    await timedOut(1);
  });

  it('does not end a connection in use, for several times its length', async () => {
    const { connect, ports, timedOut } = await serve(TIMEOUT, 'net', 'http', 'https', 'ticking');
    const shaken = connectTls(ports.https);
    const inUse = [
      chatter(connect('net'), 'hello'),
      chatter(connect('http'), GET),
      chatter(shaken, GET),
      connect('ticking'),
    ];
    inUse[3].socket.write(GET);
    for (let i = 1; i <= 3; i++) {
      await connect('net').isClosed();
      await timedOut(i);
    }
    assert.deepStrictEqual(inUse.map(({ closed }) => closed), [false, false, false, false]);
    assert.ok(inUse.every(({ received }) => received.length > 0));
  });

  it('is off with 0', async () => {
    const [off, on] = [await serve(0, 'net', 'http'), await serve(TIMEOUT, 'net')];
    const [silent, quiet] = [off.connect('net'), off.connect('http')];
    await silent.say('hello', 'hello');
    await quiet.say(GET, 'an answer');
    await on.connect('net').isClosed();
    await silent.say('still here', 'still here');
    quiet.received = '';
    await quiet.say(GET, 'an answer');
    await off.timedOut(0);
  });

  it("does not end a connection with the user's own time-out, longer or shorter", async () => {
    const { connect, timedOut } = await serve(
      TIMEOUT,
      'net',
      'serverIsPatient',
      'socketIsPatient',
      'socketIsNot',
    );
    const [http, net, short] = ['serverIsPatient', 'socketIsPatient', 'socketIsNot'].map(connect);
    await http.say(GET, 'an answer');
    await net.say('hello', 'hello');
    await short.hears('their own time-out');
    await connect('net').isClosed();
    await timedOut(1);
    http.received = '';
    await http.say(GET, 'an answer');
    await net.say('still here', 'still here');
  });

  it("does not end a connection between requests if the user set keepAliveTimeout", async () => {
    const names = ['keepsAlive', 'keepsAliveForEver', 'keepsAliveSecurely'];
    const { connect, ports, timedOut } = await serve(TIMEOUT, 'net', ...names);
    const securely = () =>
      new Connection({
        via: tls,
        port: ports.keepsAliveSecurely,
        host: 'localhost',
        family: 4,
        ca: secure.cert,
      });
    const kept = [connect('keepsAlive'), connect('keepsAliveForEver'), securely()];
    for (const connection of kept) await connection.say(GET, 'an answer');
    const [silent, half] = [connect('keepsAlive'), connect('keepsAlive')];
    half.socket.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf');
    for (const connection of [silent, half]) await connection.isClosed();
    await connect('net').isClosed();
    await timedOut(3);
    for (const connection of kept) {
      connection.received = '';
      await connection.say(GET, 'an answer');
    }
  });

  it("does not end a connection while its request has the user's own time-out", async () => {
    const { connect, timedOut } = await serve(TIMEOUT, 'requestIsPatient');
    const slow = GET.replace('/', '/none');
    const without = [connect('requestIsPatient'), connect('requestIsPatient')];
    await Promise.all([
      ...['request', 'response', 'socket'].map((name) =>
        connect('requestIsPatient').say(GET.replace('/', `/${name}`), 'an answer')),
      ...without.map(async (connection) => {
        connection.socket.write(slow);
        await connection.isClosed();
        assert.strictEqual(connection.received, '');
      }),
    ]);
    await timedOut(5);
  });

  it("does not end an HTTP/2 session with the user's own time-out", async () => {
    const names = ['sessions', 'sessionsArePatient', 'sessionsArePatientSecurely'];
    const { ports, timedOut } = await serve(TIMEOUT, ...names);
    const sessions = names.map((name) => {
      const scheme = name.endsWith('Securely') ? 'https' : 'http';
      return http2.connect(`${scheme}://localhost:${ports[name]}`, { family: 4, ca: secure.cert });
    });
    for (const session of sessions) {
      const stream = session.request({ ':path': '/' }).resume();
      await within('the answer', once(stream, 'close'));
    }
    await within('the end of the session without one', once(sessions[0], 'close'));
    await elapse(TIMEOUT, 'an idle connection is ended by then');
    assert.deepStrictEqual(sessions.map(({ destroyed }) => destroyed), [true, false, false]);
    await timedOut(1);
    sessions.forEach((session) => session.destroy());
  });

  it('continues when a connection is moved', async () => {
    const limit = 3000;
    const { connect, status, script } = await serve(limit, 'http');
    const begun = performance.now();
    const silent = connect('http');
    await until('it is there', async () => (await status()).workers[0].connections.active === 1);
    await until('half of its time is over', () => performance.now() - begun > limit / 2);
    // If its time began again when it is moved, it would end after that.
    const most = performance.now() - begun + limit;
    await new Cluster({ pids: script.pids }).reload();
    await silent.isClosed();
    const took = performance.now() - begun;
    assert.ok(took > limit - 100 && took < most, `it was closed after ${took} of ${most} ms`);
  });

  it('does not end an upgraded connection, such as a WebSocket', async () => {
    const { connect, timedOut } = await serve(TIMEOUT, 'net', 'upgrade');
    const [webSocket, notYet] = [connect('upgrade'), connect('upgrade')];
    await webSocket.say(UPGRADE, '101 Switching Protocols');
    await connect('net').isClosed();
    await notYet.isClosed();
    await timedOut(2);
    await webSocket.say('still here', 'still here');
  });

  it('ends a client that does not read', async () => {
    const { connect, timedOut, status } = await serve(TIMEOUT, 'net');
    const deaf = connect('net');
    deaf.socket.pause();
    deaf.socket.write(Buffer.alloc(16 * 1024 * 1024));
    await timedOut(1);
    await until('it is gone', async () => (await status()).workers[0].connections.active === 0);
    deaf.socket.destroy();
  });
});

describe('the idle time-out of a process without connections', () => {
  it('has no timer until the next connection', async () => {
    const counters = new Counters();
    const traffic = new Traffic(counters);
    const server = net.createServer();
    traffic.watch(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const whenUsed = traffic.whenUsed.bind(traffic);
    let pauses = 0;
    traffic.whenUsed = (used) => {
      pauses += 1;
      return whenUsed(used);
    };
    const idle = new IdleTimeout(traffic, counters, 100);
    for (const round of [1, 2]) {
      assert.strictEqual(pauses, round);
      const client = net.connect(server.address().port, '127.0.0.1').resume();
      await within('its end', once(client, 'close'));
      await until('there is a pause again', () => pauses === round + 1);
      assert.strictEqual(counters.connectionsTimedOut, round);
    }
    idle.stop();
    traffic.close();
    server.close();
  });
});

describe('a connection that the idle time-out looks at', () => {
  it('keeps its properties, so that V8 compiles what works on sockets once', async () => {
    const counters = new Counters();
    const traffic = new Traffic(counters);
    const sockets = [];
    const server = net.createServer((socket) => sockets.push(socket.resume()));
    traffic.watch(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const connect = () => net.connect(server.address().port, '127.0.0.1').resume();
    const [busy, silent] = [connect(), connect()];
    await until('both are there', () => sockets.length === 2);
    let destroyed = 0;
    for (const socket of sockets) {
      const { destroy } = socket;
      // As tracers and connection pools do.
      socket.destroy = function (...args) {
        destroyed += 1;
        return destroy.apply(this, args);
      };
    }
    const before = sockets.map((socket) => Reflect.ownKeys(socket));
    const idle = new IdleTimeout(traffic, counters, 400);
    const stop = every(10, () => busy.write('.'));
    await within('the end of the silent one', once(silent, 'close'));
    stop();
    assert.ok(destroyed > 0, "by the app's own method");
    busy.destroy();
    idle.stop();
    traffic.close();
    server.close();
    assert.strictEqual(counters.connectionsTimedOut, 1, 'both were looked at');
    const after = sockets.map((socket) => Reflect.ownKeys(socket));
    assert.deepStrictEqual(after, before);
  });
});
