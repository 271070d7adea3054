'use strict';

// Finishes what a process has: each request that has begun is answered, and a client that may send another one on an idle
// connection gets its chance, before the connection is closed. What always holds: a connection is closed only by its own
// end, after a response that said `Connection: close`, or after it was idle for LINGER milliseconds.

/** How long an idle keep-alive connection may still bring one more request, milliseconds. */
const LINGER = 1000;

class Drain {
  #traffic;
  #seen = new Map();
  #timer;
  #onDrained;

  /**
   * @param {Traffic} traffic what there is to finish
   * @param {() => void} onDrained called whenever nothing is left; again if something came after that
   */
  constructor(traffic, onDrained) {
    this.#traffic = traffic;
    this.#onDrained = onDrained;
  }

  get active() {
    return this.#timer !== undefined;
  }

  /** Begins; a second call does nothing. Servers emit `close` now, while requests may still come, as the manual says. */
  start() {
    if (this.active) return;
    this.#timer = setInterval(() => this.#closeIdle(), LINGER);
    const { servers, sessions } = this.#traffic;
    this.#traffic.follow({ onResponse: lastOfItsConnection, onClose: () => this.#check() });
    sessions.forEach((session) => session.close());
    this.#remember();
    for (const server of servers) server.emit('close');
    setImmediate(() => this.#check());
  }

  stop() {
    clearInterval(this.#timer);
  }

  #check() {
    if (this.#traffic.sockets.size === 0) this.#onDrained();
  }

  // Closes what was idle a whole interval long.
  #closeIdle() {
    for (const stream of this.#traffic.idleStreams()) {
      if (this.#seen.get(stream) === stream.bytesRead) stream.destroy();
    }
    this.#remember();
    this.#check();
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
