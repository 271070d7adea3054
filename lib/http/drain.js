'use strict';

// Finishes what a process has: each request that has begun is answered. An idle keep-alive connection is moved to another
// worker, where one serves the same listener and the connection's state does not live here (TLS); otherwise its client gets the
// chance to send one more request, before the connection is closed. What always holds: a connection leaves this process only by
// its own end, by being moved between two messages, after a response that said `Connection: close`, or after it was idle for
// LINGER milliseconds.

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
  /** Servers some of whose connections the script has sent to other processes, where they may still be open. */
  #sending = new Set();
  /** HTTP/2 sessions that end, by session. */
  #sessions = new Map();

  /**
   * @param {Traffic} traffic what there is to finish
   * @param {() => void} onDrained called whenever nothing is left; again if something came after that
   * @param {boolean} [moveIdle] `false`: idle connections end here, also where there is somebody to move them to
   */
  constructor(traffic, onDrained, moveIdle = true) {
    this.#traffic = traffic;
    this.#onDrained = onDrained;
    this.#moveIdle = moveIdle;
  }

  get active() {
    return this.#timer !== undefined;
  }

  /** Whether there is somebody to move connections to. */
  get isMoving() {
    return this.#mover !== undefined;
  }

  /**
   * Begins. What is idle now is moved before this returns. A second call only changes the mover.
   * @param {{ move: Function }} [mover] gives connections to other workers; without one they all end here
   * @param {number[]} [retired] listeners that no other worker serves, besides those named before: their connections end here
   */
  start(mover, retired = []) {
    const first = !this.active;
    this.#mover = mover;
    for (const listener of retired) this.#retired.add(listener);
    this.#timer ??= setInterval(() => this.#closeIdle(), LINGER);
    this.#traffic.follow({
      onResponse: (response, before) => this.#isMovable(response.req.socket) || lastOfItsConnection(response, before),
      onIdle: () => this.#moveSoon(),
      onSession: (state) => this.#endSession(state),
      onStream: (server, stream, emitted) => this.#sessions.get(stream.session)?.hold(server, stream, emitted),
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
    const told = (server, isOpen) => {
      if (isOpen) return;
      this.#sending.delete(server);
      this.check();
    };
    for (const server of this.#traffic.sent.ask(told)) this.#sending.add(server);
  }

  #endSession(state) {
    if (this.#sessions.has(state.session)) return;
    const ending = new SessionDrain(state);
    this.#sessions.set(state.session, ending);
    ending.start();
  }

  // Not where its state lives here, or nobody else serves its listener.
  #isMovable(stream, mover = this.#mover) {
    const listener = this.#traffic.stateOf(stream)?.listener;
    const mayMove = this.#moveIdle && mover !== undefined;
    return mayMove && listener !== undefined && !this.#retired.has(listener);
  }

  // Once a turn of the event loop for all responses that finish in it; Node has then done its own part.
  #moveSoon() {
    if (this.#moving || !this.#mover) return;
    this.#moving = true;
    setImmediate(() => {
      this.#moving = false;
      this.move();
    });
  }

  /** Moves what is idle, where there is somebody to move it to; by a `mover` of its own also before it begins. */
  move(mover = this.#mover) {
    if (!mover || !this.#moveIdle) return;
    for (const stream of this.#traffic.idleStreams()) {
      const fd = stream._handle?.fd;
      // What the script has ended, its client is about to leave.
      if (!(fd >= 0) || stream.writableLength > 0 || stream.writableEnded) continue;
      if (!this.#isMovable(stream, mover)) continue;
      const state = this.#traffic.stateOf(stream);
      // No room: the mover calls again when there is some.
      if (!mover.move(fd, state.listener, state.pastOf(stream))) return;
      // Closing our descriptor ends nothing: the master holds another one of the same connection.
      stream.destroy();
    }
  }

  stop() {
    clearInterval(this.#timer);
  }

  /** Looks whether anything is left. */
  check() {
    if (this.#traffic.size === 0 && this.#sending.size === 0) this.#onDrained();
  }

  // Closes what was idle a whole interval long.
  #closeIdle() {
    this.#traffic.sent.forget();
    this.move();
    for (const stream of this.#traffic.idleStreams()) {
      if (this.#isMovable(stream)) continue;
      if (this.#seen.get(stream) === stream.bytesRead) stream.destroy();
    }
    this.#remember();
    this.#askSending();
    for (const [session, ending] of this.#sessions) if (ending.look()) this.#sessions.delete(session);
    this.check();
  }

  #remember() {
    this.#seen.clear();
    for (const stream of this.#traffic.idleStreams()) this.#seen.set(stream, stream.bytesRead);
  }
}

// Asks the client to use another connection for its next request. With several requests on the way, it is the last response
// that says so: what comes after a `Connection: close` is lost.
function lastOfItsConnection(response, before) {
  if (before && !before.headersSent) before.shouldKeepAlive = true;
  if (response.headersSent) return;
  response.shouldKeepAlive = false;
  // The manual's own example calls writeHead twice while it shuts down, which Node of its time allowed.
  const { writeHead } = response;
  response.writeHead = function (...args) {
    return this.headersSent ? this : writeHead.apply(this, args);
  };
}

module.exports = { Drain };
