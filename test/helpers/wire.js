'use strict';

// A connection with its own HTTP/1.1, which distinguishes every connect, reset and silent end.
// Node's own client hides some of them: it does not count connections, and calls many ends a
// "socket hang up".

const net = require('node:net');
const tls = require('node:tls');

/** The end of a request without an answer. */
class Lost extends Error {
  /** @param {'refused'|'reset'|'empty'|'timeout'} outcome */
  constructor(outcome, message) {
    super(message);
    this.outcome = outcome;
  }
}

class Wire {
  /** Whether another request can be sent: connected, and no `Connection: close` was received. */
  usable = true;
  localPort;
  /** Closed by the other side while no request was in flight. */
  dropped = false;
  /** When the last part of a request was written. */
  wroteAt;
  #text = '';
  #waiting = [];
  #ended = false;
  #raw;

  /** @param {object} target options of `net.connect`; `secure` for TLS */
  constructor({ secure, ...target }) {
    this.socket = secure
      ? tls.connect({ ...target, rejectUnauthorized: false })
      : net.connect(target);
    this.socket.setNoDelay?.(true);
    this.socket.setEncoding('latin1');
    this.socket.on('connect', () => (this.localPort = this.socket.localPort));
    this.socket.on('data', (text) => this.#onData(text));
    this.socket.on('end', () => this.#onEnd());
    this.socket.on('error', (error) => this.#lose(outcomeOf(error), error.code ?? error.message));
    this.closed = new Promise((resolve) => {
      this.socket.on('close', () => {
        this.#onEnd();
        resolve();
      });
    });
  }

  /** Writes a request, or a part of it. With `end` the writing side is closed then. */
  write(text, { end = false } = {}) {
    this.wroteAt = performance.now();
    if (end) this.socket.end(text);
    else if (!this.socket.writableEnded) this.socket.write(text);
  }

  /** Waits for the next answer: `{ status, headers, body }`. Rejects with `Lost`. */
  answer(deadline) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.#lose('timeout', `nothing within ${deadline} ms`),
        deadline,
      );
      const settle = (done) => (value) => {
        clearTimeout(timer);
        done(value);
      };
      this.#waiting.push({ resolve: settle(resolve), reject: settle(reject) });
      if (this.#ended) this.#lose(this.outcome, this.why);
    });
  }

  /** From now on the connection is not HTTP: `onText` gets the received text. */
  upgrade(onText) {
    this.#raw = onText;
    const rest = this.#text;
    this.#text = '';
    if (rest) onText(rest);
  }

  /** The end of the connection, as an error. */
  lost() {
    return new Lost(this.outcome ?? 'wrong', this.why ?? 'not what was expected');
  }

  async close() {
    this.socket.destroy();
    await this.closed;
  }

  #onData(text) {
    if (this.#raw) return this.#raw(text);
    this.#text += text;
    while (this.#waiting.length > 0 && this.#text.length > 0) {
      const answer = parse(this.#text);
      if (!answer) return;
      this.#text = this.#text.slice(answer.length);
      if (/close/i.test(answer.headers.connection ?? '')) this.usable = false;
      this.#waiting.shift().resolve(answer);
    }
  }

  #onEnd() {
    if (this.#ended) return;
    this.#ended = true;
    this.dropped = this.usable && this.#waiting.length === 0;
    if (this.#text.length > 0)
      return this.#lose('reset', `ended within an answer: ${this.#text.slice(0, 80)}`);
    this.#lose('empty', 'ended without an answer');
  }

  #lose(outcome, why) {
    this.usable = false;
    this.#ended = true;
    this.outcome ??= outcome;
    this.why ??= why;
    for (const { reject } of this.#waiting.splice(0)) reject(new Lost(this.outcome, this.why));
    this.socket.destroy();
  }
}

function outcomeOf({ code }) {
  return ['ECONNREFUSED', 'ENOENT', 'EAGAIN'].includes(code) ? 'refused' : 'reset';
}

// Parses one answer at the start of `text`, with its length. Returns `undefined` if it is
// incomplete.
function parse(text) {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [first, ...lines] = text.slice(0, end).split('\r\n');
  const status = Number(first.split(' ')[1]);
  const pairs = lines.map((line) => line.split(/:\s*/, 2));
  const headers = Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value]));
  const start = end + 4;
  if (status < 200 || status === 204) return { status, headers, body: '', length: start };
  if (headers['transfer-encoding'] === 'chunked') return chunked(text, start, { status, headers });
  const length = start + Number(headers['content-length']);
  if (text.length < length) return undefined;
  return { status, headers, body: text.slice(start, length), length };
}

function chunked(text, start, answer) {
  let body = '';
  for (let at = start; ;) {
    const line = text.indexOf('\r\n', at);
    if (line < 0) return undefined;
    const size = parseInt(text.slice(at, line), 16);
    const next = line + 2 + size + 2;
    if (text.length < next) return undefined;
    body += text.slice(line + 2, line + 2 + size);
    if (size === 0) return { ...answer, body, length: next };
    at = next;
  }
}

module.exports = { Lost, Wire };
