'use strict';

// Watches the connections and requests of servers, for the counters and for the drain. What always
// holds: each open connection of a watched server is known (`connection-sets.js`), whatever servers
// it passes through, those too that never listen; and no server, socket or stream has a listener of
// ours.

const { onEnd, speaksHttp1, streamsOf, trackIdle, untrackIdle } = require('../node-internals');
const { HELD, PASSES_ON } = require('../symbols');
const { ConnectionSets } = require('./connection-sets');
const { INDEX } = require('./counters');
const { watchRequests } = require('./http1-requests');
const { Http1State } = require('./http1-state');
const { SentConnections } = require('./sent-connections');
const { observe, reach } = require('./server-events');
const { isHttp1, isHttp2 } = require('./server-kind');

const { connectionsActive, connectionsTotal, polling, requestsActive, requestsTotal } = INDEX;

class Traffic {
  /** The servers that listen or are about to. */
  servers = new Set();
  #sets = new ConnectionSets(this.servers, (stream) => this.#http1(stream));
  sent = new SentConnections(this);
  /** Marks idle connections (`IdleMarks`), where others may take them. */
  marks;
  /** Gives servers the requests that come with their connections (`Retry`), if any do. */
  retry;
  /** All servers that ever listened, or got a connection of one. */
  #watched = new WeakSet();
  #row;
  #follower;
  /** Where the connection that is being admitted came from (`Origin` of the protocol). */
  #origin;
  /** Its HTTP/1 stream, once there is one. */
  #arrived;
  /** Itself, once a server has it. */
  #entered;
  /** Whether the connection that is being admitted was counted, and is not at its server yet. */
  #isExpected = false;
  /** Functions to call as soon as there is a connection. */
  #waiting = new Set();
  #unwatchRequests;
  #unobserve;
  // One function for all: one each would show where every request has a connection of its own.
  #onClose;
  #onStreamEnd;

  /** @param {Counters} counters where open connections and requests are counted */
  constructor(counters) {
    const { row } = counters;
    const { key } = this.#sets;
    const traffic = this;
    this.#row = row;
    this.#unobserve = observe({
      before: (...emitted) => this.#before(...emitted),
      after: (...emitted) => (this.#after(...emitted), this.sent.onConnection(emitted[0])),
    });
    this.#onStreamEnd = function () {
      row[requestsActive] -= 1;
      const state = this.session?.[key];
      if (!state) return;
      state.open -= 1;
      traffic.#follower?.onStreamEnd(state);
    };
    this.#onClose = function () {
      const link = this[key];
      if (link === undefined) return;
      const { set, state } = link;
      set.delete(this);
      // Node does not report the end of responses that did not finish.
      if (state !== undefined) row[requestsActive] -= state.active;
      if (traffic.#sets.isStreamSet(set)) return;
      traffic.#count(-1);
      traffic.#follower?.onClose();
    };
  }

  /** How many connections are open. */
  get size() {
    return this.#sets.size;
  }

  /** The open connections. */
  get sockets() {
    return this.#sets.sockets;
  }

  /** The streams that speak HTTP/1 on them. */
  get streams() {
    return this.#sets.streams;
  }

  /** The open connections that speak something else. */
  get others() {
    return this.#sets.others;
  }

  /** The open HTTP/2 sessions, as `ConnectionSets#addSession` returns them. */
  get sessions() {
    return this.#sets.sessions;
  }

  /** What is kept of an HTTP/1 stream; `undefined` for any other. */
  stateOf(stream) {
    return this.#sets.stateOf(stream);
  }

  /**
   * Calls `used` once, as soon as there is a connection.
   * @returns {() => void} cancels it
   */
  whenUsed(used) {
    this.#waiting.add(used);
    if (this.size > 0) this.#callWaiting();
    return () => this.#waiting.delete(used);
  }

  #callWaiting() {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    waiting.forEach((used) => used());
  }

  /** Watches a server that is about to listen, perhaps again. */
  watch(server) {
    if (server[PASSES_ON]) return;
    reach(server);
    this.servers.add(server);
    this.#watched.add(server);
    if (!this.#unwatchRequests) this.#watchRequests();
  }

  /** A server was closed. The connections that it still has are watched as before. */
  forget(server) {
    this.servers.delete(server);
  }

  /** Stops watching. */
  close() {
    this.#unobserve();
    this.#unwatchRequests?.();
    this.#unwatchRequests = undefined;
  }

  /**
   * Reports what matters to a drain, also what is under way already.
   * @param {object} follower
   * @param {Function} follower.onResponse `(response, before)` for each HTTP/1 response, with the
   *   unfinished one before it on the same connection
   * @param {Function} follower.onIdle an HTTP/1 connection may have become idle
   * @param {Function} follower.onSession `(state)` for each of `sessions`
   * @param {Function} follower.onStream `(server, stream, emitted)` for each HTTP/2 stream; returns
   *   whether the follower emits it later
   * @param {Function} follower.onStreamEnd `(state)` after each stream of a session
   * @param {Function} follower.onClose after each connection
   */
  follow(follower) {
    this.#follower = follower;
    for (const stream of this.streams) {
      const { active, last } = this.stateOf(stream);
      if (active > 0) follower.onResponse(last);
    }
    this.sessions.forEach((state) => follower.onSession(state));
  }

  #watchRequests() {
    const [row, sets] = [this.#row, this.#sets];
    this.#unwatchRequests = watchRequests((socket) => sets.discover(socket), {
      onStart: (state, request, response, before) => {
        this.marks?.busy(state, request, response);
        this.#follower?.onResponse(response, before);
        row[requestsTotal] += 1;
        row[requestsActive] += 1;
        // The event loop calls it while it polls (`src/os/admission_row.rs`).
        row[polling] = 0;
      },
      onFinish: () => (row[requestsActive] -= 1),
      onIdle: (state, finished) => {
        this.marks?.idle(state, finished);
        this.#follower?.onIdle();
      },
    });
  }

  #before(server, event, first, emitted) {
    const isConnection = event === 'connection' || event === 'secureConnection';
    // A server that is given a connection of ours serves it, whether it listens or not.
    const isGiven = () => isConnection && first && this.#sets.isOurs(server, first);
    if (!this.#watched.has(server) && !(isGiven() && this.#watched.add(server))) return undefined;
    if (isConnection) {
      const isH1 = isHttp1(server) || (event === 'secureConnection' && first.alpnProtocol !== 'h2');
      if (isH1) trackIdle(server);
      this.#enter(server, event, first);
    } else if (isHttp2(server)) {
      if (event === 'session') this.#enterSession(first);
      else if (event === 'stream') return this.#enterStream(server, first, emitted);
    }
    return undefined;
  }

  #after(server, event, first) {
    if (event !== 'connection' && event !== 'secureConnection') return;
    untrackIdle(server);
    if (speaksHttp1(first)) this.#sets.fallBack(first);
  }

  #enter(server, event, stream) {
    // Passed on too late: it would never end.
    if (stream.destroyed) return;
    if (this.#sets.has(stream)) {
      this.marks?.drop(stream);
      return this.#sets.passOn(server, event, stream);
    }
    onEnd(stream, this.#onClose);
    // What is expected comes right from the addon.
    const isNew = event === 'connection' && !this.#isExpected;
    if (isNew && this.#sets.isLayer(server, stream)) return this.#sets.addLayer(server, stream);
    if (isNew) this.#count(1, 1);
    if (event === 'connection') {
      this.#isExpected = false;
      this.#entered = stream;
    }
    this.#sets.add(server, event, stream);
    if (this.#waiting.size > 0) this.#callWaiting();
  }

  // Makes what is kept of an HTTP/1 stream.
  #http1(stream) {
    this.#arrived = stream;
    this.#follower?.onIdle();
    return new Http1State(stream, this.#origin);
  }

  #enterSession(session) {
    for (const stream of streamsOf(session)) this.marks?.drop(stream);
    const state = this.#sets.addSession(session);
    if (state) this.#follower?.onSession(state);
  }

  #enterStream(server, stream, emitted) {
    const state = stream.session?.[this.#sets.key];
    if (stream.destroyed || !state) return undefined;
    this.#row[requestsTotal] += 1;
    this.#row[requestsActive] += 1;
    state.open += 1;
    onEnd(stream, this.#onStreamEnd);
    return this.#follower?.onStream(server, stream, emitted) ? HELD : undefined;
  }

  // The only place where the numbers of connections change.
  #count(active, total = 0) {
    this.#row[connectionsActive] += active;
    this.#row[connectionsTotal] += total;
  }

  /** A connection that the addon counted as open goes elsewhere. */
  decline() {
    this.#count(-1);
  }

  /**
   * Has a listener give its server a connection that the addon has counted as open.
   * @param {object} origin where it came from (`Origin` of the protocol); without `past` it is new
   * @param {{ take(fd: number): void }} listener
   * @param {number} fd
   */
  admit(origin, listener, fd) {
    this.#count(0, origin.past ? 0 : 1);
    this.#isExpected = true;
    this.#origin = origin;
    try {
      listener.take(fd);
      // After all listeners had it, the app's and Node's.
      if (this.#arrived && !origin.request) this.marks?.admit(this.#arrived, fd, origin.past);
      if (this.#arrived) this.stateOf(this.#arrived)?.arrived(this.#arrived, origin);
    } finally {
      // It is not there: its client had gone, or the server had `maxConnections`.
      if (this.#isExpected) this.#count(-1);
      else if (origin.request && this.#entered) this.retry?.feed(this.#entered, origin.request);
      this.#isExpected = false;
      this.#origin = this.#arrived = this.#entered = undefined;
    }
  }

  /**
   * The HTTP/1 streams that are between two messages, or on which nothing was read yet (Node calls
   * the latter active).
   */
  idleStreams() {
    return this.#sets.idleStreams();
  }

  /** The streams that still speak HTTP/1: those that were not upgraded. */
  httpStreams() {
    return new Set(this.streams.filter(speaksHttp1));
  }
}

module.exports = { Traffic };
