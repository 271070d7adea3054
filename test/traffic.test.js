'use strict';

// What is known of the connections of a process, whatever servers they pass through.

const assert = require('node:assert');
const { once } = require('node:events');
const http = require('node:http');
const net = require('node:net');
const { Counters } = require('../lib/counters');
const { Traffic } = require('../lib/traffic');
const { until } = require('./helpers/wait');

/** A net server that passes its connections on to an HTTP server, as one does that serves two protocols on one port. */
async function passingOn(traffic) {
  const server = http.createServer(({ url }, response) => url === '/never' || response.end('hello'));
  const front = net.createServer((socket) => server.emit('connection', socket));
  for (const watched of [front, server]) traffic.watch(watched);
  await once(front.listen(0, '127.0.0.1'), 'listening');
  return front;
}

describe('a connection that one server passes on to another', () => {
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

  it('is one that speaks HTTP, and is forgotten when it ends', async () => {
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(client, 'data');
    assert.deepStrictEqual([traffic.size, [...traffic.others].length, traffic.streams.length], [1, 0, 1]);
    assert.deepStrictEqual([counters.requestsTotal, counters.requestsActive], [1, 0]);
    counters.connectionsActive += 1; // as whoever accepts does
    client.end();
    await until('it is gone', () => traffic.size === 0);
    assert.deepStrictEqual([counters.connectionsActive, traffic.sockets.length], [0, 0]);
  });

  it('is forgotten if it has closed before it is passed on', async () => {
    const [passing] = front.listeners('connection').slice(-1);
    front.removeListener('connection', passing);
    const [socket] = await once(front, 'connection');
    socket.resume();
    client.destroy();
    await once(socket, 'close');
    passing(socket);
    assert.deepStrictEqual([traffic.size, traffic.streams.length], [0, 0]);
  });

  it('ends with a request under way, which counts no more', async () => {
    client.write('GET /never HTTP/1.1\r\nHost: a\r\n\r\n');
    await until('the request is there', () => counters.requestsActive === 1);
    client.destroy();
    await until('it is gone', () => traffic.size === 0);
    assert.strictEqual(counters.requestsActive, 0);
  });
});
