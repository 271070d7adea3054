'use strict';

// Watches the connections and requests of servers, for the counters and for the drain. What always holds: each open connection
// of a watched server is in one of three sets, whatever servers it passes through, those too that never listen; `streams` are
// those that speak HTTP/1, through TLS where there is TLS; and no server, socket or stream has a listener of ours.

const diagnostics = require('node:diagnostics_channel');
const { HELD, PASSES_ON } = require('../symbols');
const { INDEX } = require('./counters');
const { onEnd } = require('./stream-end');
const { Http1State } = require('./http1-state');
const { LinkedSet } = require('./linked-set');
const { runOn } = require('./moved-connection');
const { carrierOf, idleAmong, speaksHttp1, trackIdle, untrackIdle } = require('../node-internals');
const { SentConnections } = require('./sent-connections');
const { observe } = require('./server-events');
const { isHttp1, isHttp2, isSecure } = require('./server-kind');

const { connectionsActive, requestsActive, requestsTotal } = INDEX;

class Traffic {
  /** Where connections and streams keep their links: of each instance's own, as Node's channels tell of the whole process. */
  #key = Symbol('cluster2-rs.connection');
  /** Connections that speak HTTP/1 themselves. */
  #plain = new LinkedSet(this.#key);
  /** Those that speak it through TLS, and their streams. */
  #wrapped = new LinkedSet(this.#key);
  #secure = new LinkedSet(this.#key);
  /** All others, and what speaks something else through TLS on some of them. */
  others = new LinkedSet(this.#key);
  #tunnels = new LinkedSet(this.#key);
  /** Those that listen or are about to, and all that were. */
  servers = new Set();
  sent = new SentConnections(this);
  #watched = new WeakSet();
  #row;
  #follower;
  #subscriptions = [];
  /** `Origin` (`src/protocol/connections.rs`) of the connection that is being taken in, and its stream. */
  #origin;
  #arrived;

  /** One function for all: one each would show where every request has a connection of its own. */
  #onClose;
  #onNew;
  #onStreamEnd;
  #unobserve;
  /** Called as soon as there is a connection. */
  #waiting = new Set();

  /**
   * @param {Counters} counters where open connections and requests are counted
   * @param {() => void} [onNew] called once for each connection, whatever servers it passes through
   */
  constructor(counters, onNew) {
    const { row } = counters;
    const key = this.#key;
    const traffic = this;
    this.#row = row;
    this.#onNew = onNew;
    this.#onStreamEnd = function () {
      row[requestsActive] -= 1;
      const state = this.session?.[key];
      if (state) state.open -= 1;
      if (state) traffic.#follower?.onStreamEnd(state);
    };
    this.#unobserve = observe({
      before: (...emitted) => this.#before(...emitted),
      after: (server, ...emitted) => (this.#after(server, ...emitted), this.sent.look(server)),
    });
    this.#onClose = function () {
      const link = this[key];
      if (link === undefined) return;
      const { set, state } = link;
      set.delete(this);
      // Responses that did not finish tell of no end of their own.
      if (state !== undefined) row[requestsActive] -= state.active;
      if (set === traffic.#secure || set === traffic.#tunnels) return;
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

  /** The open HTTP/2 sessions: `{ session, socket, open }`, with what carries each, and how many of its streams are open. */
  get sessions() {
    return [...this.others, ...this.#tunnels].map((stream) => stream[this.#key].state).filter((state) => state !== undefined);
  }

  /** Watches a server from now on, which is about to listen, perhaps once more. */
  watch(server) {
    if (server[PASSES_ON]) return;
    this.servers.add(server);
    this.#watched.add(server);
    this.#subscribe();
  }

  #before(server, event, first, emitted) {
    const isConnection = event === 'connection' || event === 'secureConnection';
    // A server that is given a connection of ours serves it, whether it listens or not.
    if (isConnection && first?.[this.#key] !== undefined) this.#watched.add(server);
    if (!this.#watched.has(server)) return undefined;
    if (isConnection) {
      if (isHttp1(server) || (event === 'secureConnection' && first.alpnProtocol !== 'h2')) trackIdle(server);
      this.#enter(server, event, first);
    } else if (event === 'session' && isHttp2(server)) this.#enterSession(first);
    else if (event === 'stream' && isHttp2(server)) return this.#http2Request(server, first, emitted);
    return undefined;
  }

  // What is no HTTP/2 an http2 server with `allowHTTP1` reads as HTTP/1.
  #after(server, event, first) {
    if (event !== 'connection' && event !== 'secureConnection') return;
    untrackIdle(server);
    if (first.parser && first[this.#key]?.set === this.#tunnels) this.#become(this.#secure, first);
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
    const start = ({ request, socket, response, server }) => {
      const state = socket[key]?.state;
      if (state === undefined) return;
      this.#follower?.onResponse(response, state.active > 0 ? state.last : undefined);
      state.begin(request, response, server);
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

  /** Lets go of Node's channels, and of the servers. */
  close() {
    this.#unobserve();
    for (const [name, listener] of this.#subscriptions) diagnostics.unsubscribe(name, listener);
    this.#subscriptions = [];
  }

  /**
   * From now on, and for what is under way, tells what matters to a drain: `onResponse(response, before)` for each HTTP/1
   * response, with the unfinished one before it on the same connection; `onIdle()` when an HTTP/1 connection may have become
   * idle; `onSession(state)` for each of `sessions`; `onStream(server, stream, emitted)`, which returns whether it is
   * held, and `onStreamEnd(state)` for each stream of one; `onClose()` after each closed connection.
   */
  follow(follower) {
    this.#follower = follower;
    for (const stream of this.streams) {
      const { active, last } = stream[this.#key].state;
      if (active > 0) follower.onResponse(last);
    }
    this.sessions.forEach((state) => follower.onSession(state));
  }

  #enter(server, event, stream) {
    // Passed on too late: it would never end.
    if (stream.destroyed) return;
    const set = this.#setFor(server, event);
    const link = stream[this.#key];
    if (link !== undefined) return this.#passOn(link.set, set, stream);
    onEnd(stream, this.#onClose);
    if (event === 'connection') this.#onNew?.();
    this.#add(set, stream);
    if (this.#waiting.size > 0) this.#tellUsed();
  }

  // A server may pass on what came to it, to one that speaks HTTP/1.
  #passOn(from, to, stream) {
    const speaks = to === this.#plain || to === this.#secure;
    if (from === this.others && speaks) this.#become(this.#plain, stream);
    else if (from === this.others && to === this.#wrapped) this.#become(to, stream);
    else if (from === this.#tunnels && speaks) this.#become(this.#secure, stream);
  }

  #setFor(server, event) {
    if (event === 'secureConnection') return isHttp1(server) ? this.#secure : this.#tunnels;
    return !isHttp1(server) ? this.others : isSecure(server) ? this.#wrapped : this.#plain;
  }

  #enterSession(session) {
    // What is no socket of Node's own is wrapped for the session.
    const link = session.socket[this.#key] ?? session.socket.stream?.[this.#key];
    if (!link) return;
    const { item: socket, set } = link;
    // It may have spoken HTTP/1 until a request upgraded it, which is over when the connection is.
    if (set === this.#plain || set === this.#secure) this.#become(set === this.#plain ? this.others : this.#tunnels, socket);
    session[this.#key] = socket[this.#key].state = { active: link.state?.active ?? 0, session, socket, open: 0 };
    this.#follower?.onSession(session[this.#key]);
  }

  #become(set, stream) {
    stream[this.#key].set.delete(stream);
    this.#add(set, stream);
    const carrier = carrierOf(stream);
    if (set === this.#secure && carrier?.[this.#key]?.set === this.others) this.#become(this.#wrapped, carrier);
  }

  #add(set, stream) {
    if (set !== this.#plain && set !== this.#secure) return set.add(stream);
    // It speaks HTTP/1.
    set.add(stream, new Http1State(stream, this.#origin));
    this.#arrived = stream;
    this.#follower?.onIdle();
  }

  /** Lets `enter` give its server a connection of this `origin` (`src/protocol/connections.rs`). */
  admit(origin, enter) {
    this.#origin = origin;
    try {
      enter();
      // Once the listeners had it, the app's and Node's.
      if (origin.past && this.#arrived) runOn(this.#arrived, origin.past);
    } finally {
      this.#origin = this.#arrived = undefined;
    }
  }

  /** What is kept of an HTTP/1 connection; `undefined` of any other. */
  stateOf(stream) {
    const state = stream[this.#key]?.state;
    return state instanceof Http1State ? state : undefined;
  }

  #http2Request(server, stream, emitted) {
    const state = stream.session?.[this.#key];
    if (stream.destroyed || !state) return undefined;
    this.#row[requestsTotal] += 1;
    this.#row[requestsActive] += 1;
    state.open += 1;
    onEnd(stream, this.#onStreamEnd);
    return this.#follower?.onStream(server, stream, emitted) ? HELD : undefined;
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

  /** The connections that still speak HTTP/1: all but those that were upgraded. */
  httpStreams() {
    return new Set(this.streams.filter(speaksHttp1));
  }
}

module.exports = { Traffic };
