'use strict';

// Watches the connections and requests of servers, for the counters and for the drain. What always holds: `sockets` are the
// open connections of all watched servers, and `streams` those that speak HTTP/1, through TLS where there is TLS.

const diagnostics = require('node:diagnostics_channel');
const { isSecure } = require('./adapt');
const { INDEX } = require('./counters');
const { LinkedSet } = require('./linked-set');

const { connectionsActive, requestsActive, requestsTotal } = INDEX;
/** Marks a server that only passes its connections on to another one. */
const PASSES_ON = Symbol('cluster2-rs.passes-on');

// Told by what they can do: to load `node:https` and `node:http2` for their classes costs each worker a megabyte.
const isHttp2 = (server) => typeof server.updateSettings === 'function';
const isHttp1 = (server) => typeof server.closeIdleConnections === 'function' && !isHttp2(server);

class Traffic {
  sockets = new LinkedSet();
  /** Those of `sockets` that are no HTTP/1 of a watched server. */
  others = new LinkedSet();
  streams = new LinkedSet();
  sessions = new Set();
  servers = new Set();
  /** Where a stream keeps its state: of each instance's own, as Node's channels tell of all streams of the process. */
  #state = Symbol('cluster2-rs.stream');
  #row;
  #follower;
  #subscriptions = [];
  /** Where the connection that is being taken in came from (`Origin` of `src/ipc/frame.rs`). */
  origin;

  // One function for all sockets: one each would show where every request has a connection of its own.
  #onSocketClose;
  #onStreamClose;

  /** @param {Counters} counters where open connections and requests are counted */
  constructor(counters) {
    const row = counters.row;
    const key = this.#state;
    const traffic = this;
    this.#row = row;
    const onStreamClose = function () {
      traffic.streams.delete(this);
      // Responses that did not finish tell of no end of their own.
      const state = this[key];
      row[requestsActive] -= state.active;
      state.active = 0;
    };
    this.#onStreamClose = onStreamClose;
    this.#onSocketClose = function () {
      // Without TLS the two are one.
      if (this[key] !== undefined) onStreamClose.call(this);
      traffic.sockets.delete(this);
      traffic.others.delete(this);
      row[connectionsActive] -= 1;
      traffic.#follower?.onClose();
    };
  }

  /** Watches a server from now on; a second call does nothing. */
  watch(server) {
    if (this.servers.has(server) || server[PASSES_ON]) return;
    this.servers.add(server);
    const speaksHttp1 = isHttp1(server);
    const isPlain = speaksHttp1 && !isSecure(server);
    server.prependListener('connection', (socket) => {
      this.#connection(socket, speaksHttp1);
      if (isPlain) this.#stream(socket);
    });
    if (speaksHttp1) {
      this.#subscribe();
      if (!isPlain) {
        server.prependListener('secureConnection', (stream) => this.#stream(stream)?.on('close', this.#onStreamClose));
      }
    } else if (isHttp2(server)) {
      server.prependListener('request', (_request, response) => this.#http2Request(response));
      server.on('session', (session) => {
        this.sessions.add(session);
        this.#follower?.onSession(session);
        session.once('close', () => this.sessions.delete(session));
      });
    }
  }

  // Node's own channels cost less than a listener on each server and each response, which would show on keep-alive.
  #subscribe() {
    if (this.#subscriptions.length > 0) return;
    const row = this.#row;
    const key = this.#state;
    const start = ({ socket, response }) => {
      const state = socket[key];
      if (state === undefined) return;
      if (state.moved) settle(socket, state);
      this.#follower?.onResponse(response, state.active > 0 ? state.last : undefined);
      state.active += 1;
      state.last = response;
      row[requestsTotal] += 1;
      row[requestsActive] += 1;
    };
    const finish = ({ socket }) => {
      const state = socket?.[key];
      if (state === undefined || state.active === 0) return;
      state.active -= 1;
      row[requestsActive] -= 1;
      if (state.active > 0) return;
      // A connection that lives on must not keep what it has answered.
      state.last = undefined;
      this.#follower?.onIdle();
    };
    this.#subscriptions = Object.entries({ 'http.server.request.start': start, 'http.server.response.finish': finish });
    for (const [name, listener] of this.#subscriptions) diagnostics.subscribe(name, listener);
  }

  /** Lets go of Node's channels. */
  close() {
    for (const [name, listener] of this.#subscriptions) diagnostics.unsubscribe(name, listener);
    this.#subscriptions = [];
  }

  /**
   * From now on, and for what is under way, tells what matters to a drain: `onResponse(response, before)` for each HTTP/1
   * response, with the unfinished one before it on the same connection; `onIdle()` when an HTTP/1 connection may have become
   * idle; `onSession(session)` for each HTTP/2 session; `onClose()` after each closed connection.
   */
  follow(follower) {
    this.#follower = follower;
    for (const stream of this.streams) {
      const { active, last } = stream[this.#state];
      if (active > 0) follower.onResponse(last);
    }
    this.sessions.forEach((session) => follower.onSession(session));
  }

  #connection(socket, speaksHttp1) {
    if (!this.sockets.add(socket)) return;
    if (!speaksHttp1) this.others.add(socket);
    socket.on('close', this.#onSocketClose);
  }

  /** @returns {Duplex|undefined} `undefined` if it was known before */
  #stream(stream) {
    if (stream[this.#state]) return undefined;
    const { listener, idle = 0 } = this.origin ?? {};
    const state = { active: 0, last: undefined, fresh: stream.bytesRead, listener, moved: idle > 0 };
    stream[this.#state] = state;
    this.streams.add(stream);
    // Node would give a connection that comes with nothing to read the time of a first request, and no more.
    if (state.moved) stream.setTimeout(idle);
    this.#follower?.onIdle();
    return stream;
  }

  #http2Request(response) {
    this.#row[requestsTotal] += 1;
    this.#row[requestsActive] += 1;
    response.once('close', () => (this.#row[requestsActive] -= 1));
  }

  /** The HTTP/1 connections that are between two messages, or on which nothing was read yet (Node calls those active). */
  idleStreams() {
    const idle = this.#known('closeIdleConnections');
    for (const stream of this.streams) {
      const { active, fresh } = stream[this.#state];
      // Node calls idle, too, what has ended its answer but not sent it yet, to a client that reads slowly.
      if (active > 0) idle.delete(stream);
      else if (stream.bytesRead === fresh) idle.add(stream);
    }
    return idle;
  }

  /** The listener by which an HTTP/1 connection came that can be moved; `undefined` for TLS, whose state lives here. */
  listenerOf(stream) {
    return stream.encrypted ? undefined : stream[this.#state].listener;
  }

  /** The connections that still speak HTTP/1: all but those that were upgraded. */
  httpStreams() {
    return this.#known('closeAllConnections');
  }

  // Node knows which connections are which, but tells only by destroying them: for the time of the call, `destroy` is set
  // aside.
  #known(close) {
    const known = new Set();
    for (const stream of this.streams) stream.destroy = () => known.add(stream);
    try {
      for (const server of this.servers) if (isHttp1(server)) server[close]();
    } finally {
      for (const stream of this.streams) delete stream.destroy;
    }
    return known;
  }
}

// A moved connection has had its next request: from now on it is like any other of its server.
function settle(socket, state) {
  state.moved = false;
  socket.setTimeout(socket.server?.timeout ?? 0);
}

module.exports = { PASSES_ON, Traffic, isHttp1, isHttp2 };
