'use strict';

// The connections of a process, whatever servers they pass through.

const assert = require('node:assert');
const { EventEmitter, once } = require('node:events');
const http = require('node:http');
const http2 = require('node:http2');
const https = require('node:https');
const net = require('node:net');
const { Duplex } = require('node:stream');
const { inspect } = require('node:util');
const { Counters } = require('../../lib/http/counters');
const { Drain } = require('../../lib/http/drain');
const { Traffic } = require('../../lib/http/traffic');
const { selfSigned } = require('../helpers/certificate');
const { every, until } = require('../helpers/wait');

/** A net server that passes its connections to an HTTP server, as for two protocols on one port. */
async function passingOn(traffic) {
  const server = http.createServer(
    ({ url }, response) => url === '/never' || response.end('hello'),
  );
  const front = net.createServer((socket) => server.emit('connection', socket));
  for (const watched of [front, server]) traffic.watch(watched);
  await once(front.listen(0, '127.0.0.1'), 'listening');
  return front;
}

/** A stream of a script's own around a socket. */
function around(socket) {
  const stream = new Duplex({
    read: () => socket.resume(),
    write: (chunk, _encoding, done) => socket.write(chunk, done),
    destroy: (error, done) => (socket.destroy(), done(error)),
  });
  socket.on('data', (chunk) => stream.push(chunk) || socket.pause());
  socket.on('close', () => stream.destroy());
  return stream;
}

describe('a connection that one server passes to another', () => {
  let traffic;
  let counters;
  let front;
  let client;
  beforeEach(async () => {
    counters = new Counters();
    traffic = new Traffic(counters);
    front = await passingOn(traffic);
    client = net.connect(front.address().port, '127.0.0.1');
  });
  afterEach(async () => {
    client.destroy();
    traffic.close();
    front.close();
    await once(front, 'close');
  });

  it('counts as HTTP, and is forgotten when it ends', async () => {
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(client, 'data');
    assert.deepStrictEqual(
      [traffic.size, [...traffic.others].length, traffic.streams.length],
      [1, 0, 1],
    );
    assert.deepStrictEqual([counters.requestsTotal, counters.requestsActive], [1, 0]);
    client.end();
    await until('it is gone', () => traffic.size === 0);
    assert.deepStrictEqual([counters.connectionsActive, traffic.sockets.length], [0, 0]);
  });

  it('is forgotten if it closes before it is passed', async () => {
    const [passing] = front.listeners('connection').slice(-1);
    front.removeListener('connection', passing);
    const [socket] = await once(front, 'connection');
    socket.resume();
    client.destroy();
    await once(socket, 'close');
    passing(socket);
    assert.deepStrictEqual([traffic.size, traffic.streams.length], [0, 0]);
  });

  it('ends a request in flight, which then is not counted any more', async () => {
    client.write('GET /never HTTP/1.1\r\nHost: a\r\n\r\n');
    await until('the request is there', () => counters.requestsActive === 1);
    client.destroy();
    await until('it is gone', () => traffic.size === 0);
    assert.strictEqual(counters.requestsActive, 0);
  });
});

describe('an http2 server with allowHTTP1', () => {
  it('counts requests of both kinds from their arrival to their end', async () => {
    const counters = new Counters();
    const traffic = new Traffic(counters);
    const server = http2.createSecureServer({ ...selfSigned(), allowHTTP1: true });
    const waiting = [];
    server.on('request', (_request, response) => waiting.push(response));
    traffic.watch(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address();
    const first = https.get({ port, host: '127.0.0.1', rejectUnauthorized: false, agent: false });
    const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    const second = session.request({ ':path': '/' });
    await until('both are there', () => waiting.length === 2);
    assert.deepStrictEqual([counters.requestsTotal, counters.requestsActive], [2, 2]);
    assert.deepStrictEqual(
      [traffic.size, traffic.streams.length, traffic.sessions.length],
      [2, 1, 1],
    );
    waiting.forEach((response) => response.end('hello'));
    const [answer] = await once(first, 'response');
    await Promise.all([answer.resume(), second.resume()].map((stream) => once(stream, 'close')));
    await until('none is there', () => counters.requestsActive === 0);
    session.close();
    await until('both are gone', () => traffic.size === 0);
    assert.deepStrictEqual([traffic.streams.length, traffic.sessions.length], [0, 0]);
    traffic.close();
    server.close();
    await once(server, 'close');
  });
});

it('a server with its own `emit`, which calls its class, works after the watch', async () => {
  const traffic = new Traffic(new Counters());
  const server = net.createServer();
  const { emit } = server;
  server.emit = (...args) => emit.apply(server, args);
  traffic.close();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  server.close();
  await once(server, 'close');
});

describe('a server whose `emit` is wrapped, as by tracers', () => {
  const { prototype } = net.Server;
  afterEach(() => delete prototype.emit);

  for (const when of ['before', 'after']) {
    it(`${when} us, is watched, and the wrapper is not changed`, async () => {
      const heard = [];
      const trace = () => {
        const { emit } = prototype;
        prototype.emit = function (event, ...args) {
          heard.push(event);
          return emit.call(this, event, ...args);
        };
        return prototype.emit;
      };
      let theirs = when === 'before' ? trace() : undefined;
      const traffic = new Traffic(new Counters());
      const ours = prototype.emit;
      theirs ??= trace();
      const front = await passingOn(traffic);
      const client = net.connect(front.address().port, '127.0.0.1');
      await until('it is there', () => traffic.streams.length === 1);
      client.destroy();
      await until('it is gone', () => traffic.size === 0);
      front.close();
      await once(front, 'close');
      if (when === 'after') prototype.emit = ours;
      traffic.close();
      assert.strictEqual(prototype.emit, when === 'after' ? EventEmitter.prototype.emit : theirs);
      assert.strictEqual(heard.filter((event) => event === 'connection').length, 2);
    });
  }
});

describe('the number of open connections', () => {
  let traffic;
  let counters;
  let server;
  let client;
  let socket;
  beforeEach(async () => {
    counters = new Counters();
    traffic = new Traffic(counters);
    const front = net.createServer({ pauseOnConnect: true });
    await once(front.listen(0, '127.0.0.1'), 'listening');
    client = net.connect(front.address().port, '127.0.0.1');
    [socket] = await once(front, 'connection');
    front.close();
    server = http.createServer();
    traffic.watch(server);
  });
  afterEach(() => {
    client.destroy();
    socket.destroy();
    traffic.close();
  });

  /** As a worker does it: counted when it comes, then given to its server by `take`. */
  const admit = (origin, take = () => server.emit('connection', socket)) => {
    counters.connectionsActive += 1;
    traffic.admit({ listener: 1, ...origin }, { take });
  };
  const numbers = () => [counters.connectionsActive, counters.connectionsTotal, traffic.size];

  it('is right where the app ends a connection as soon as it gets it', () => {
    server.prependListener('connection', (connection) => connection.destroy());
    admit();
    assert.deepStrictEqual(numbers(), [0, 1, 0]);
  });

  it('is right where the server does not get an expected connection', () => {
    admit({}, () => {});
    assert.deepStrictEqual(numbers(), [0, 1, 0]);
  });

  it('holds a connection that the script itself gives to its server', () => {
    server.emit('connection', socket);
    assert.deepStrictEqual(numbers(), [1, 1, 1]);
    socket.destroy();
    assert.deepStrictEqual(numbers(), [0, 1, 0]);
  });

  it('does not count a moved connection twice', () => {
    const past = { stage: 1, since: 0, timeout: 0, requests: 0 };
    admit({ past });
    assert.deepStrictEqual(numbers(), [1, 0, 1]);
  });
});

describe('a connection that an app inspects', () => {
  it('shows nothing of other connections', async () => {
    const traffic = new Traffic(new Counters());
    const sockets = [];
    const server = http.createServer(({ socket }) => sockets.push(socket));
    traffic.watch(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const clients = ['first', 'second'].map((name) => {
      const client = net.connect(server.address().port, '127.0.0.1');
      client.write(`GET / HTTP/1.1\r\nHost: a\r\nCookie: of-the-${name}\r\n\r\n`);
      return client;
    });
    await until('both are there', () => sockets.length === 2);
    const shown = sockets.map((socket) => inspect(socket, { depth: Infinity }));
    for (const text of shown) {
      const names = new Set(text.match(/of-the-(first|second)/g));
      assert.strictEqual(names.size, 1, [...names].join());
    }
    clients.forEach((client) => client.destroy());
    traffic.close();
    server.close();
  });
});

describe('a stream of the script’s own that was upgraded', () => {
  it('stays during a drain, as any upgraded connection does', async () => {
    const traffic = new Traffic(new Counters());
    const inner = http.createServer().on('upgrade', (_request, stream) => {
      stream.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
      stream.on('data', (data) => stream.write(data));
    });
    const front = net.createServer((socket) => inner.emit('connection', around(socket)));
    traffic.watch(front);
    await once(front.listen(0, '127.0.0.1'), 'listening');
    const client = net.connect(front.address().port, '127.0.0.1');
    client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    await once(client, 'data');
    const drain = new Drain(traffic, () => {});
    drain.start();
    let echoes = 0;
    client.on('data', () => (echoes += 1));
    const stop = every(200, () => client.write('?'));
    // In that time a drain looks twice for idle connections.
    await until('it was used for 2 s, or closed', () => echoes >= 10 || client.destroyed);
    assert.ok(!client.destroyed);
    stop();
    drain.stop();
    client.destroy();
    traffic.close();
    front.close();
  });
});
