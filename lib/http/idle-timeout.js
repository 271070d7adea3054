'use strict';

// The idle socket time-out: a connection without any traffic for so long is ended and counted. One
// timer checks all connections now and then, while there are any; a timer for each connection,
// started again with each request, would show on keep-alive. What always holds: a connection is
// ended after `limit`, and at most a tenth of it, or 20 ms, later. Where the user's own code set a
// time-out, on the server, the socket, a request or an HTTP/2 session, and where HTTP was upgraded
// (WebSocket), theirs holds, not ours. So does their `keepAliveTimeout` between two requests:
// clients and load balancers know it, and rely on it.

const http = require('node:http');
const { now } = require('../clock');
const { carrierOf, serverOf } = require('../node-internals');

const SHORTEST = 20;
const LONGEST = 1000;

class IdleTimeout {
  #traffic;
  #counters;
  #limit;
  #timer;
  #cancel;
  /**
   * How many bytes a connection had moved at the last check, and since when. Not a property of the
   * socket: it would come at any moment of its life, and V8 compiles all code that works on sockets
   * for each order of their properties.
   */
  #seen = new WeakMap();

  /**
   * @param {Traffic} traffic the connections
   * @param {Counters} counters where ended ones are counted
   * @param {number} limit milliseconds; 0 turns it off
   */
  constructor(traffic, counters, limit) {
    this.#traffic = traffic;
    this.#counters = counters;
    this.#limit = limit;
    if (limit > 0) this.#begin();
  }

  #begin() {
    const interval = Math.min(LONGEST, Math.max(SHORTEST, this.#limit / 10));
    this.#cancel = this.#traffic.whenUsed(() => {
      this.#timer = setInterval(() => this.#check(), interval).unref();
      // The first connection is idle from its arrival on.
      this.#check();
    });
  }

  stop() {
    clearInterval(this.#timer);
    this.#cancel?.();
  }

  #check() {
    if (this.#traffic.size === 0) {
      clearInterval(this.#timer);
      return this.#begin();
    }
    const at = now();
    const late = (stream) => this.#isLate(stream, at);
    const lateOthers = [...this.#traffic.others].filter(late);
    const patient = lateOthers.length > 0 ? this.#withPatientSession() : undefined;
    for (const socket of lateOthers) if (!patient.has(socket)) this.#end(socket);
    const lateStreams = this.#traffic.streams.filter(late);
    if (lateStreams.length === 0) return;
    const speaking = this.#traffic.httpStreams();
    for (const stream of lateStreams) {
      if (speaking.has(stream) && !this.#isTheirs(stream)) this.#end(stream);
    }
  }

  /** The connections whose HTTP/2 session has a time-out of the user's. */
  #withPatientSession() {
    const patient = this.#traffic.sessions.filter(({ session }) => session.timeout > 0);
    return new Set(patient.map(({ socket }) => carrierOf(socket) ?? socket));
  }

  // `timeout` of an HTTP/1 stream is Node's own between two requests, where it is a
  // `keepAliveTimeout`. Node's default of that cannot be told from the same number set by the user,
  // which is shorter than most limits anyway.
  #isTheirs(stream) {
    const { timeout, keepAliveTimeout } = serverOf(stream) ?? {};
    if (timeout > 0) return true;
    if (!this.#traffic.stateOf(stream)?.isKeptAlive) return stream.timeout > 0;
    return keepAliveTimeout !== undefined && keepAliveTimeout !== defaultKeepAliveTimeout();
  }

  // `timeout` of a connection that does not speak HTTP/1 is the user's.
  #isLate(socket, at) {
    const moved = socket.bytesRead + socket.bytesWritten;
    let state = this.#seen.get(socket);
    if (state === undefined) {
      const since = this.#traffic.stateOf(socket)?.silentSince(socket) ?? at;
      this.#seen.set(socket, (state = { moved, since }));
    }
    if (state.moved !== moved) {
      state.moved = moved;
      state.since = at;
    }
    const theirs = this.#traffic.others.has(socket) && socket.timeout > 0;
    return !theirs && at - state.since >= this.#limit;
  }

  #end(socket) {
    this.#counters.connectionsTimedOut += 1;
    // A polite end would wait for ever for a client that does not read.
    if (socket.writableLength > 0) socket.destroy();
    else socket.destroySoon();
  }
}

let keepAliveDefault;

/** Node's own, which has not always been the same. */
function defaultKeepAliveTimeout() {
  keepAliveDefault ??= new http.Server().keepAliveTimeout;
  return keepAliveDefault;
}

module.exports = { IdleTimeout };
