'use strict';

// Watches the connections and requests of servers, for the counters and for the drain. What always holds: each open connection
// of a watched server is in one of three sets, whatever servers it passes through; and `streams` are those that speak HTTP/1,
// through TLS where there is TLS.

const diagnostics = require('node:diagnostics_channel');
const { isSecure } = require('./adapt');
const { INDEX } = require('./counters');
const { LinkedSet } = require('./linked-set');
const { idleAmong, speaksHttp1 } = require('./node-internals');

const { connectionsActive, requestsActive, requestsTotal } = INDEX;
/** Marks a server that only passes its connections on to another one. */
const PASSES_ON = Symbol('cluster2-rs.passes-on');

// Told by what they can do: to load `node:https` and `node:http2` for their classes costs each worker a megabyte.
const isHttp2 = (server) => typeof server.updateSettings === 'function';
const isHttp1 = (server) => typeof server.closeIdleConnections === 'function' && !isHttp2(server);

class Traffic {
  /** Where connections and streams keep their links: of each instance's own, as Node's channels tell of the whole process. */
  #key = Symbol('cluster2-rs.connection');
  /** Connections that speak HTTP/1 themselves. */
  #plain = new LinkedSet(this.#key);
  /** Those that speak it through TLS, and their streams. */
  #wrapped = new LinkedSet(this.#key);
  #secure = new LinkedSet(this.#key);
  /** All others. */
  others = new LinkedSet(this.#key);
  sessions = new Set();
  /** The servers that listen or are about to; and those that are watched, until nobody has them any more. */
  servers = new Set();
  #watched = new WeakSet();
  #row;
  #follower;
  #subscriptions = [];
  /** Where the connection that is being taken in came from (`Origin` of `src/ipc/frame.rs`). */
  origin;

  /** One function for all: one each would show where every request has a connection of its own. */
  #onClose;

  #onNew;
  /** Called as soon as there is a connection. */
  #waiting = new Set();

  /**
   * @param {Counters} counters where open connections and requests are counted
   * @param {() => void} [onNew] called once for each connection, whatever servers it passes through
   */
  constructor(counters, onNew) {
    const row = counters.row;
    const key = this.#key;
    const traffic = this;
    this.#row = row;
    this.#onNew = onNew;
    this.#onClose = function () {
      const link = this[key];
      if (link === undefined) return;
      const { set, state } = link;
      set.delete(this);
      // Responses that did not finish tell of no end of their own.
      if (state !== undefined) row[requestsActive] -= state.active;
      if (set === traffic.#secure) return;
      row[connectionsActive] -= 1;
      traffic.#follower?.onClose();
    };
  }

  /** How many connections are open. */
  get size() {
    return this.#plain.size + this.#wrapped.size + this.others.size;
  }

  /** The open connections. */
  get sockets() {
    return [...this.#plain, ...this.#wrapped, ...this.others];
  }

  /** What speaks HTTP/1 on them. */
  get streams() {
    return [...this.#plain, ...this.#secure];
  }

  /**
   * Calls `used` once, as soon as there is a connection.
   * @returns {() => void} it is not called any more
   */
  whenUsed(used) {
    this.#waiting.add(used);
    if (this.size > 0) this.#tellUsed();
    return () => this.#waiting.delete(used);
  }

  #tellUsed() {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    waiting.forEach((used) => used());
  }

  /** Watches a server from now on, which is about to listen, perhaps once more. */
  watch(server) {
    if (server[PASSES_ON]) return;
    this.servers.add(server);
    if (this.#watched.has(server)) return;
    this.#watched.add(server);
    const speaksHttp1 = isHttp1(server);
    const isPlain = speaksHttp1 && !isSecure(server);
    const set = isPlain ? this.#plain : speaksHttp1 ? this.#wrapped : this.others;
    server.prependListener('connection', (socket) => this.#enter(set, socket));
    if (speaksHttp1) {
      this.#subscribe();
      if (!isPlain) server.prependListener('secureConnection', (stream) => this.#enter(this.#secure, stream));
    } else if (isHttp2(server)) {
      server.prependListener('request', (_request, response) => this.#http2Request(response));
      server.on('session', (session) => {
        this.sessions.add(session);
        this.#follower?.onSession(session);
        session.once('close', () => this.sessions.delete(session));
      });
    }
  }

  /** The server was closed; what it still has is watched as before. */
  forget(server) {
    this.servers.delete(server);
  }

  // Node's own channels cost less than a listener on each server and each response, which would show on keep-alive.
  #subscribe() {
    if (this.#subscriptions.length > 0) return;
    const row = this.#row;
    const key = this.#key;
    const start = ({ socket, response }) => {
      const state = socket[key]?.state;
      if (state === undefined) return;
      if (state.moved) settle(socket, state);
      this.#follower?.onResponse(response, state.active > 0 ? state.last : undefined);
      state.active += 1;
      state.last = response;
      row[requestsTotal] += 1;
      row[requestsActive] += 1;
    };
    const finish = ({ socket }) => {
      const state = socket?.[key]?.state;
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
      const { active, last } = stream[this.#key].state;
      if (active > 0) follower.onResponse(last);
    }
    this.sessions.forEach((session) => follower.onSession(session));
  }

  #enter(set, stream) {
    // Passed on too late: it would never end.
    if (stream.closed) return;
    const link = stream[this.#key];
    if (link === undefined) {
      stream.on('close', this.#onClose);
      if (set !== this.#secure) this.#onNew?.();
    } else if (link.set === this.others && set !== this.others) {
      // A server may pass on what came to it, to one that speaks HTTP/1.
      this.others.delete(stream);
    } else {
      return;
    }
    if (set === this.#plain || set === this.#secure) this.#speak(set, stream);
    else set.add(stream);
    if (this.#waiting.size > 0) this.#tellUsed();
  }

  // It speaks HTTP/1.
  #speak(set, stream) {
    const { listener, idle = 0 } = this.origin ?? {};
    const state = { active: 0, last: undefined, fresh: stream.bytesRead, listener, moved: idle > 0 };
    set.add(stream, state);
    // Node would give a connection that comes with nothing to read the time of a first request, and no more.
    if (state.moved) stream.setTimeout(idle);
    this.#follower?.onIdle();
  }

  #http2Request(response) {
    this.#row[requestsTotal] += 1;
    this.#row[requestsActive] += 1;
    response.once('close', () => (this.#row[requestsActive] -= 1));
  }

  /** The HTTP/1 connections that are between two messages, or on which nothing was read yet (Node calls those active). */
  idleStreams() {
    const idle = idleAmong(this.streams);
    for (const stream of this.streams) {
      const { active, fresh } = stream[this.#key].state;
      // Node calls idle, too, what has ended its answer but not sent it yet, to a client that reads slowly.
      if (active > 0) idle.delete(stream);
      else if (stream.bytesRead === fresh) idle.add(stream);
    }
    return idle;
  }

  /** The listener by which an HTTP/1 connection came that can be moved; `undefined` for TLS, whose state lives here. */
  listenerOf(stream) {
    return stream.encrypted ? undefined : stream[this.#key]?.state.listener;
  }

  /** The connections that still speak HTTP/1: all but those that were upgraded. */
  httpStreams() {
    return new Set(this.streams.filter(speaksHttp1));
  }
}

// A moved connection has had its next request: from now on it is like any other of its server.
function settle(socket, state) {
  state.moved = false;
  socket.setTimeout(socket.server?.timeout ?? 0);
}

module.exports = { PASSES_ON, Traffic, isHttp1, isHttp2 };
