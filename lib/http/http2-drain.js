'use strict';

// The end of an HTTP/2 session in a drain. A client that gets GOAWAY while a request of its own is
// on its way, or waits in its queue, may lose that request. So new streams are kept from the app
// until a round trip has passed and no answer is on its way: a client that waits for its answers
// has then sent all that it will send. Besides, RFC 9113 (6.8) asks for two GOAWAYs: one that names
// the highest stream id, and a round trip later the last one, which names the last stream that is
// served. nghttp2 in Node ignores new streams once it has sent any GOAWAY, so the first one is
// written beside it, as bytes between two of its frames; but not through TLS, where Node aborts the
// process when two write at once. What always holds: a stream that came before the last GOAWAY
// reaches the app, LIMIT and a round trip later at the latest.

const { AsyncResource } = require('node:async_hooks');
const net = require('node:net');
const { now } = require('../clock');
const { endAfterStreams } = require('../node-internals');
const { emitLate } = require('./server-events');

/** The head of a frame of 8 bytes and type 7 on stream 0, the highest stream id, NO_ERROR. */
const ANNOUNCEMENT = Buffer.from('000008070000000000' + '7fffffff' + '00000000', 'hex');
/** How long a client may take to answer a PING, milliseconds. */
const ROUND_TRIP = 1000;
/**
 * How long a client may go on opening streams after the first GOAWAY, milliseconds: it may be busy.
 */
const PAUSE = 100;
/**
 * How long a client may take to ask for what follows from what it has read, after it has answered a
 * PING, milliseconds.
 */
const QUIET = 50;
/** How long new streams wait until none ends in that time, milliseconds. */
const LIMIT = 500;
/** In so many turns of the event loop Node has sent all that it had to send. */
const TURNS = 3;

const ignore = () => {};
const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));

class SessionDrain {
  #state;
  #session;
  #socket;
  /** Streams that wait for the last GOAWAY. */
  #held;
  #endedAt = 0;
  /** Whether the last GOAWAY was sent. */
  #isLast = false;
  #isLingering = false;

  /**
   * @param {{ session: http2.ServerHttp2Session, socket: stream.Duplex, open: number }} state as
   * `Traffic` keeps it
   */
  constructor(state) {
    this.#state = state;
    this.#session = state.session;
    this.#socket = state.socket;
  }

  async start() {
    // A client may close the session when it gets GOAWAY, and then Node ends it.
    endAfterStreams(this.#session);
    await this.#quiet();
    await this.#announce();
    if (!this.#isOver) this.#session.goaway();
    this.#isLast = true;
    this.#release();
    this.#finish();
  }

  get #isOver() {
    return this.#session.closed || this.#session.destroyed;
  }

  async #announce() {
    const isPlain = this.#socket instanceof net.Socket && !this.#socket.encrypted;
    if (!isPlain || this.#isOver || !this.#socket.writable) return;
    this.#socket.write(ANNOUNCEMENT);
    this.#release();
    await this.#ping();
    await sleep(PAUSE);
  }

  #release() {
    this.#held?.forEach((go) => go());
    this.#held = undefined;
  }

  // The answer to a PING says that the client has read what had ended before, and that all it had
  // sent until then is here. A session that has just begun has sent its SETTINGS by then, which
  // have to be the first frame.
  async #quiet() {
    this.#held = [];
    const began = now();
    let endedAt;
    do {
      endedAt = this.#endedAt;
      await this.#ping();
      await sleep(QUIET);
    } while (endedAt !== this.#endedAt && now() - began < LIMIT && !this.#isOver);
  }

  /** Resolves when the client has answered, or does not. */
  #ping() {
    if (this.#isOver) return undefined;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ROUND_TRIP);
      const answered = () => resolve(clearTimeout(timer));
      // The app may have as many under way as there may be.
      if (!this.#session.ping(answered)) answered();
    });
  }

  /** A stream of the session has ended. */
  ended() {
    this.#endedAt = now();
    this.#finish();
  }

  // `close()` ends the session with its last stream, in some versions of Node before the end of
  // that stream was sent.
  async #finish() {
    if (!this.#isLast || this.#state.open > 0) return;
    for (let turn = 0; turn < TURNS; turn++) await new Promise(setImmediate);
    if (!this.#isOver) this.#session.close();
  }

  /**
   * Holds back a new stream until the last GOAWAY, if that is still to come. `server` emits the
   * stream.
   * @returns {boolean} whether it is emitted later
   */
  hold(server, stream, emitted) {
    if (this.#held === undefined) return false;
    // A client may give it up meanwhile.
    stream.on('error', ignore);
    const go = () => {
      stream.off('error', ignore);
      if (!stream.destroyed) emitLate(server, emitted);
    };
    this.#held.push(AsyncResource.bind(go));
    return true;
  }

  /**
   * Checks the session now and then. A client that keeps its end open gets no more time.
   * @returns {boolean} whether the connection has ended
   */
  check() {
    const { destroyed, writableFinished } = this.#socket;
    const isLeft = this.#session.destroyed && writableFinished && !destroyed;
    if (isLeft && this.#isLingering) this.#socket.destroy();
    this.#isLingering = isLeft;
    return this.#socket.destroyed;
  }
}

module.exports = { SessionDrain };
