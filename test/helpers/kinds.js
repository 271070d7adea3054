'use strict';

// The kinds of clients of the hammer. Each kind is a function that sends one request, or one group
// of requests, with `client.connection()` and `client.count(...)`; see `hammer.js`. All kinds work
// with `fixtures/hammered.js`.

const { createHash } = require('node:crypto');
const http = require('node:http');
const { once } = require('node:events');

const UPLOAD = 'u'.repeat(48 * 1024);
const PIECES = 4;
const nothing = digest('');

function digest(body) {
  return `${body.length} ${createHash('sha1').update(body).digest('hex')}`;
}

const get = (path, headers = '') => `GET ${path} HTTP/1.1\r\nHost: test\r\n${headers}\r\n`;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Requests one after another on one connection. */
const keepAlive = (client) => exchange(client, 'now');
/** As `keepAlive`, but the answer comes in two parts with time between them. */
const slow = (client) => exchange(client, 'slow', { argument: client.between(40, 160) });
/** As `keepAlive`, but the answer comes late. */
const late = (client) => exchange(client, 'late', { argument: client.between(40, 160) });
/** Each request uses a new connection. */
const oneShot = (client) => exchange(client, 'now', { headers: 'Connection: close\r\n' });

/** The client closes its side right after the request, and waits for the answer. */
function halfOpen(client) {
  return exchange(client, 'late', { argument: client.between(1, 60), end: true });
}

async function exchange(client, what, { argument = 0, headers = '', end = false } = {}) {
  const id = client.nextId();
  const wire = client.connection();
  wire.write(get(`/${what}/${id}/${argument}`, headers), { end });
  await client.count(wire, id, nothing);
  if (end || headers) await client.leave(wire);
}

/** Several requests at once on one connection. */
async function pipelined(client) {
  const wire = client.connection();
  const ids = Array.from({ length: 4 }, () => client.nextId());
  wire.write(ids.map((id, index) => get(`/${index === 1 ? 'late' : 'now'}/${id}/20`)).join(''));
  await Promise.all(ids.map((id) => client.count(wire, id, nothing)));
}

/** A body of known length, in pieces with time between them. */
async function upload(client) {
  const id = client.nextId();
  const wire = client.connection();
  const answered = client.count(wire, id, digest(UPLOAD));
  wire.write(
    `POST /now/${id}/0 HTTP/1.1\r\nHost: test\r\nContent-Length: ${UPLOAD.length}\r\n\r\n`,
  );
  for (const piece of pieces(UPLOAD)) {
    wire.write(piece);
    await pause(client.between(1, 25));
  }
  await answered;
}

/** A body in chunks with time between them. */
async function chunked(client) {
  const id = client.nextId();
  const wire = client.connection();
  const answered = client.count(wire, id, digest(UPLOAD));
  wire.write(`POST /now/${id}/0 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n`);
  for (const piece of pieces(UPLOAD)) {
    wire.write(`${piece.length.toString(16)}\r\n${piece}\r\n`);
    await pause(client.between(1, 25));
  }
  wire.write('0\r\n\r\n');
  await answered;
}

function pieces(body) {
  const size = body.length / PIECES;
  return Array.from({ length: PIECES }, (_, index) => body.slice(index * size, (index + 1) * size));
}

/**
 * Like a WebSocket: an upgraded connection on which both sides send for a while.
 */
async function upgrade(client) {
  const wire = client.connection();
  wire.write(get('/upgrade/0/0', 'Connection: Upgrade\r\nUpgrade: echo\r\n'));
  await client.measure(wire, client.nextId(), async () => {
    const { status } = await wire.answer(client.deadline);
    if (status !== 101) throw new Error(`not upgraded: ${status}`);
    for (let i = 0; i < client.between(2, 6); i++) {
      const said = `message ${i}`;
      const heard = new Promise((resolve) => wire.upgrade(resolve));
      wire.write(said);
      if ((await Promise.race([heard, wire.closed.then(() => 'nothing')])) !== said)
        throw wire.lost();
      await pause(client.between(1, 25));
    }
  });
  await client.leave(wire);
}

/** As `keepAlive`, with Node's own client and agent. */
async function agent(client) {
  client.agent ??= new http.Agent({ keepAlive: true, maxSockets: 1 });
  const id = client.nextId();
  const { host, port, path: socketPath } = client.target;
  const from = {};
  await client.measure(
    from,
    id,
    async () => {
      const signal = AbortSignal.timeout(client.deadline);
      const request = http.get({
        host,
        port,
        socketPath,
        path: `/now/${id}/0`,
        agent: client.agent,
        signal,
      });
      request.once('socket', (socket) => {
        const known = () => (from.localPort = socket.localPort);
        if (socket.connecting) socket.once('connect', known);
        else known();
      });
      const [response] = await once(request, 'response');
      if (!request.reusedSocket) client.connected();
      let body = '';
      for await (const text of response.setEncoding('utf8')) body += text;
      return { status: response.statusCode, headers: response.headers, body };
    },
    nothing,
  );
}

module.exports = {
  keepAlive,
  slow,
  late,
  oneShot,
  halfOpen,
  pipelined,
  upload,
  chunked,
  upgrade,
  agent,
};
