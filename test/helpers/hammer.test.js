'use strict';

// The hammer itself: it must notice every fault of servers that misbehave on purpose.

const assert = require('node:assert');
const http = require('node:http');
const net = require('node:net');
const hammer = require('../helpers/hammer');
const { freePort } = require('../helpers/ports');

const NOTHING = '0 da39a3ee5e6b4b0d3255bfef95601890afd80709';

/**
 * Loads a server with one kind of client until `enough` requests have ended. Returns the problems.
 */
async function hit(server, kind, enough, deadline) {
  const sockets = new Set();
  server.on('connection', (socket) => sockets.add(socket.on('error', () => {})));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const load = hammer.start(server.address().port, {
    clients: { [kind]: 1 },
    think: 1,
    deadline,
  });
  while (Object.values(load.counts).reduce((sum, count) => sum + count) < enough)
    await new Promise(setImmediate);
  const report = await load.stop();
  sockets.forEach((socket) => socket.destroy());
  await new Promise((resolve) => server.close(resolve));
  return { ok: report.ok, ...hammer.problems(report) };
}

const raw = (onData) =>
  net.createServer((socket) => socket.on('data', (data) => onData(socket, data)));
const good = (request, response) => response.end(`${request.url.split('/')[2]} ${NOTHING} first 1`);

describe('the hammer', () => {
  it('finds no problem with a good server', async () => {
    const found = await hit(http.createServer(good), 'keepAlive', 50);
    assert.deepStrictEqual(Object.keys(found), ['ok']);
  });

  it('finds a reset', async () => {
    assert.ok((await hit(raw((socket) => socket.resetAndDestroy()), 'keepAlive', 3)).reset >= 3);
  });

  it('distinguishes an end without an answer from an end within one', async () => {
    assert.ok((await hit(raw((socket) => socket.end()), 'keepAlive', 3)).empty >= 3);
    const half = raw((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nr'));
    assert.ok((await hit(half, 'keepAlive', 3)).reset >= 3);
  });

  it('finds timeouts, errors of the server, and answers to other requests', async () => {
    assert.ok(
      (
        await hit(
          raw(() => {}),
          'keepAlive',
          1,
          300,
        )
      ).timeout >= 1,
    );
    assert.ok(
      (
        await hit(
          http.createServer((_, response) => response.writeHead(503).end()),
          'keepAlive',
          3,
        )
      ).failed >= 3,
    );
    assert.ok(
      (
        await hit(
          http.createServer((_, response) => response.end('else')),
          'keepAlive',
          3,
        )
      ).wrong >= 3,
    );
  });

  it('counts ends that cost only a reconnect: Connection: close, and while idle', async () => {
    const polite = http.createServer((request, response) =>
      good(request, response.setHeader('Connection', 'close')),
    );
    const { toldToClose, reconnects } = await hit(polite, 'keepAlive', 5);
    assert.ok(toldToClose >= 5 && reconnects >= 4, `${toldToClose} ${reconnects}`);
    const impolite = http.createServer((request, response) => {
      response.on('finish', () => setImmediate(() => request.socket.end()));
      good(request, response);
    });
    const found = await hit(impolite, 'keepAlive', 20);
    const { dropped = 0, empty = 0, reset = 0 } = found;
    assert.ok(dropped + empty + reset > 0, JSON.stringify(found));
  });

  it('sees reconnects and losses with Node’s agent, which does not retry', async () => {
    const impolite = http.createServer((request, response) => {
      if (Number(request.url.match(/r(\d+)/)[1]) % 3 === 0) return request.socket.destroy();
      good(request, response);
    });
    const found = await hit(impolite, 'agent', 20);
    assert.ok(
      found.reconnects >= 5 && (found.empty ?? 0) + (found.reset ?? 0) >= 5,
      JSON.stringify(found),
    );
  });

  it('is refused by a closed port', async () => {
    const load = hammer.start(await freePort(), {
      clients: { keepAlive: 2, agent: 1 },
      untilRefused: true,
    });
    assert.deepStrictEqual(hammer.problems(await load.stop()).refused, 3);
  });
});
