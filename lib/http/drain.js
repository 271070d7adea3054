'use strict';

// Finishes what a process has: each request that has begun is answered. An idle keep-alive
// connection is moved to another worker, where one serves the same listener and the connection's
// state does not live here (TLS). Otherwise its client may send one more request before the
// connection is closed. What always holds: a connection leaves this process only by its own end, by
// being moved between two messages, after a response that said `Connection: close`, or after it was
// idle for LINGER milliseconds.

const { descriptorOf, keepAlive } = require('../node-internals');
const { SessionDrain } = require('./http2-drain');

/** How long an idle keep-alive connection may still bring one more request, milliseconds. */
const LINGER = 1000;

class Drain {
  #traffic;
  #seen = new Map();
  #timer;
  #onDrained;
  #moveIdle;
  #mover;
  #retired = new Set();
  #moving = false;
  /** Servers with connections that the script sent to other processes, which may hold them open. */
  #sending = new Set();
  /** HTTP/2 sessions that end, by session. */
  #sessions = new Map();

  /**
   * @param {Traffic} traffic the connections to finish
   * @param {() => void} onDrained called whenever nothing is left; again if something came after
   *   that
   * @param {boolean} [moveIdle] `false`: idle connections end here, even where they could be moved
   */
  constructor(traffic, onDrained, moveIdle = true) {
    this.#traffic = traffic;
    this.#onDrained = onDrained;
    this.#moveIdle = moveIdle;
  }

  get active() {
    return this.#timer !== undefined;
  }

  /** Whether connections can be moved. */
  get isMoving() {
    return this.#mover !== undefined;
  }

  /**
   * Begins. Moves what is idle now before it returns. A second call only changes the mover, and
   * adds to `retired`.
   * @param {{ move: Function }} [mover] gives connections to other workers; without it they end
   *   here
   * @param {number[]} [retired] listeners that no other worker serves: their connections end here
   */
  start(mover, retired = []) {
    const first = !this.active;
    this.#mover = mover;
    for (const listener of retired) this.#retired.add(listener);
    this.#timer ??= setInterval(() => this.#closeIdle(), LINGER);
    this.#traffic.follow({
      onResponse: (response, before) => {
        if (!this.#isMovable(response.req.socket)) closeAfter(response, before);
      },
      onIdle: () => this.#moveSoon(),
      onSession: (state) => this.#endSession(state),
      onStream: (server, stream, emitted) =>
        this.#sessions.get(stream.session)?.hold(server, stream, emitted),
      onStreamEnd: ({ session }) => this.#sessions.get(session)?.ended(),
      onClose: () => this.check(),
    });
    this.move();
    this.#moveSoon();
    if (!first) return;
    this.#remember();
    this.#askSending();
    setImmediate(() => this.check());
  }

  #askSending() {
    const onAnswer = (server, isOpen) => {
      if (isOpen) return;
      this.#sending.delete(server);
      this.check();
    };
    for (const server of this.#traffic.sent.ask(onAnswer)) this.#sending.add(server);
  }

  #endSession(state) {
    if (this.#sessions.has(state.session)) return;
    const ending = new SessionDrain(state);
    this.#sessions.set(state.session, ending);
    ending.start();
  }

  // Unless its state lives here, or no other worker serves its listener.
  #isMovable(stream, mover = this.#mover) {
    const listener = this.#traffic.stateOf(stream)?.listener;
    const mayMove = this.#moveIdle && mover !== undefined;
    return mayMove && listener !== undefined && !this.#retired.has(listener);
  }

  // Once a turn of the event loop for all responses that finish in it; Node has then done its own
  // part.
  #moveSoon() {
    if (this.#moving || !this.#mover) return;
    this.#moving = true;
    setImmediate(() => {
      this.#moving = false;
      this.move();
    });
  }

  /**
   * Moves idle connections, if they can be moved. With a `mover` of its own it works before `start`
   * too.
   */
  move(mover = this.#mover) {
    for (const { stream, state, fd, listener } of this.#movable(mover)) {
      // No room: the mover calls again when there is some.
      if (!mover.move(fd, listener, state.pastOf(stream), state.request)) return;
      // Closing our descriptor ends nothing: the master holds another one of the same connection.
      stream.destroy();
    }
  }

  /**
   * The idle connections that other workers can have when this process ends at once, in the middle
   * of whatever it executes. They are left as they are. Before `start` others can have all.
   * @param {{ move: Function }} mover as for `start`, which replaces it
   * @returns {{ fd: number, listener: number, past: object, request: Buffer | undefined }[]}
   */
  leftovers(mover) {
    const all = this.#movable(this.active ? this.#mover : mover);
    const idle = all.filter(({ stream }) => hasReadAll(stream));
    const left = idle.map(({ stream, state, ...connection }) => ({
      ...connection,
      past: state.pastAtEnd(stream),
      request: state.request,
    }));
    return left.filter(({ past }) => past !== undefined);
  }

  /**
   * Those with one request under way, which others can have if they get the request too.
   * @param {{ move: Function }} mover as for `leftovers`
   * @returns {{ stream: net.Socket, state: Http1State, fd: number, listener: number }[]}
   */
  busy(mover) {
    const { streams } = this.#traffic;
    const busy = streams.filter((stream) => this.#traffic.stateOf(stream).active === 1);
    const all = this.#portable(busy, this.active ? this.#mover : mover);
    return all.filter(({ stream }) => hasReadAll(stream));
  }

  #movable(mover) {
    return this.#portable(mover ? this.#traffic.idleStreams() : [], mover);
  }

  // Those of `streams` that others can have.
  #portable(streams, mover) {
    const all = [];
    if (!mover || !this.#moveIdle) return all;
    for (const stream of streams) {
      const fd = descriptorOf(stream);
      // A client is about to leave whose connection the script has ended.
      if (fd === undefined || stream.writableLength > 0 || stream.writableEnded) continue;
      if (!this.#isMovable(stream, mover)) continue;
      const state = this.#traffic.stateOf(stream);
      all.push({ stream, state, fd, listener: state.listener });
    }
    return all;
  }

  stop() {
    clearInterval(this.#timer);
  }

  /** Calls `onDrained` if nothing is left. */
  check() {
    if (this.#traffic.size === 0 && this.#sending.size === 0) this.#onDrained();
  }

  // Closes connections that were idle for a whole interval.
  #closeIdle() {
    this.#traffic.sent.forget();
    this.move();
    for (const stream of this.#traffic.idleStreams()) {
      if (this.#isMovable(stream)) continue;
      const wasIdle = this.#seen.has(stream) && this.#seen.get(stream) === stream.bytesRead;
      if (wasIdle) stream.destroy();
    }
    this.#remember();
    this.#askSending();
    for (const [session, drain] of this.#sessions) {
      if (drain.check()) this.#sessions.delete(session);
    }
    this.check();
  }

  #remember() {
    this.#seen.clear();
    for (const stream of this.#traffic.idleStreams()) this.#seen.set(stream, stream.bytesRead);
  }
}

// Whether Node's parser has had all that was read of an idle connection, even in the middle of an
// event: a listener of the script may be called before the parser's own.
function hasReadAll(stream) {
  const readers = stream.listenerCount('data') + stream.listenerCount('readable');
  return stream.readableLength === 0 && readers === 1;
}

// Asks the client to use another connection for its next request. Of several responses under way
// the last one says so: a request after a `Connection: close` is lost.
function closeAfter(response, before) {
  if (before && !before.headersSent) keepAlive(before, true);
  if (response.headersSent) return;
  keepAlive(response, false);
  // The manual's own example calls writeHead twice while it shuts down, which Node of its time
  // allowed.
  const { writeHead } = response;
  response.writeHead = function (...args) {
    return this.headersSent ? this : writeHead.apply(this, args);
  };
}

module.exports = { Drain };
