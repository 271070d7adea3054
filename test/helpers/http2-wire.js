'use strict';

// HTTP/2 on a plain connection, frame by frame: a client that sends only what a test tells it to
// send.

const net = require('node:net');
const { until } = require('./wait');

const HEADERS = 1;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const DATA = 0;
const ACK = 1;

class Http2Wire {
  /** `{ last, code }` of each GOAWAY. */
  goaways = [];
  /** Complete bodies, by stream. */
  bodies = new Map();
  isClosed = false;
  /** The error that ended the connection. */
  error;
  #socket;
  #buffered = Buffer.alloc(0);
  #pieces = new Map();

  /** @param {number} port @param {object} [options] of `net.connect`, such as `allowHalfOpen` */
  constructor(port, options) {
    this.#socket = net.connect({ port, host: '127.0.0.1', ...options });
    this.#socket.on('data', (bytes) => this.#take(bytes)).on('close', () => (this.isClosed = true));
    this.#socket.on('error', (error) => (this.error = error));
    this.#socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    this.#write(SETTINGS, 0, 0);
  }

  #write(type, flags, stream, payload = Buffer.alloc(0)) {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head[4] = flags;
    head.writeUInt32BE(stream, 5);
    this.#socket.write(Buffer.concat([head, payload]));
  }

  #take(bytes) {
    this.#buffered = Buffer.concat([this.#buffered, bytes]);
    while (this.#buffered.length >= 9) {
      const end = 9 + this.#buffered.readUIntBE(0, 3);
      if (this.#buffered.length < end) return;
      const frame = this.#buffered.subarray(0, end);
      this.#buffered = this.#buffered.subarray(end);
      this.#got(frame[3], frame[4], frame.readUInt32BE(5), frame.subarray(9));
    }
  }

  #got(type, flags, stream, payload) {
    if (type === GOAWAY)
      this.goaways.push({ last: payload.readUInt32BE(0), code: payload.readUInt32BE(4) });
    if ((type === SETTINGS || type === PING) && !(flags & ACK))
      this.#write(type, ACK, 0, type === PING ? payload : undefined);
    if (type !== DATA) return;
    const body = (this.#pieces.get(stream) ?? '') + payload;
    this.#pieces.set(stream, body);
    if (flags & 1) this.bodies.set(stream, body);
  }

  /** Requests a path on a stream. The fields are HPACK literals without indexing. */
  ask(stream, path) {
    const text = (value) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
    // GET, http, then path and authority.
    const fields = Buffer.concat([
      Buffer.from([0x82, 0x86, 0x04]),
      text(path),
      Buffer.from([0x01]),
      text('localhost'),
    ]);
    this.#write(HEADERS, 0x5, stream, fields);
  }

  /** Says that it will open no further stream, as clients do that got GOAWAY themselves. */
  leave() {
    this.#write(GOAWAY, 0, 0, Buffer.alloc(8));
  }

  /** Waits for the body of the answer on a stream. */
  answer(stream) {
    return until(`stream ${stream} is answered`, () => this.bodies.get(stream));
  }

  end() {
    this.#socket.destroy();
  }
}

module.exports = { Http2Wire };
