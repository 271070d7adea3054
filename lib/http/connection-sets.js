'use strict';

// The open connections of watched servers, by what speaks on them. What always holds: each open
// connection is in one of `plain`, `wrapped` and `others`, whatever servers it passes through; and
// `streams` are those that speak HTTP/1, through TLS where there is TLS.

const net = require('node:net');
const { Duplex } = require('node:stream');
const { carrierOf, idleAmong, streamsOf } = require('../node-internals');
const { Http1State } = require('./http1-state');
const { LinkedSet } = require('./linked-set');
const { isHttp1, isSecure } = require('./server-kind');

class ConnectionSets {
  /** Where connections and streams keep their link, which each instance has for itself. */
  key = Symbol('cluster2-rs.connection');
  /** Connections that speak HTTP/1 themselves. */
  plain = new LinkedSet(this.key);
  /** Those that speak it through TLS, and their TLS streams. */
  wrapped = new LinkedSet(this.key);
  secure = new LinkedSet(this.key);
  /** All other connections, and the TLS streams on them that speak something else. */
  others = new LinkedSet(this.key);
  tunnels = new LinkedSet(this.key);
  #listening;
  #onHttp1;

  /**
   * @param {Set<net.Server>} listening the servers that listen
   * @param {(stream: net.Socket) => Http1State} onHttp1 makes what is kept of a stream
   */
  constructor(listening, onHttp1) {
    this.#listening = listening;
    this.#onHttp1 = onHttp1;
  }

  /** How many connections are open. */
  get size() {
    return this.plain.size + this.wrapped.size + this.others.size;
  }

  /** The open connections. */
  get sockets() {
    return [...this.plain, ...this.wrapped, ...this.others];
  }

  /** The streams that speak HTTP/1. */
  get streams() {
    return [...this.plain, ...this.secure];
  }

  /** See `Traffic#idleStreams`. */
  idleStreams() {
    const { streams } = this;
    const idle = idleAmong(streams);
    for (const stream of streams) {
      const { active, fresh } = this.stateOf(stream);
      // Node calls a stream idle whose answer has ended but was not sent yet, to a slow reader.
      if (active > 0) idle.delete(stream);
      // A stream of the script's own may not say how much was read of it.
      else if (fresh !== undefined && stream.bytesRead === fresh) idle.add(stream);
    }
    return idle;
  }

  /** What is kept of each open HTTP/2 session. */
  get sessions() {
    const states = [...this.others, ...this.tunnels].map((stream) => stream[this.key].state);
    return states.filter((state) => state !== undefined);
  }

  has(stream) {
    return stream[this.key] !== undefined;
  }

  /** What is kept of an HTTP/1 stream; `undefined` for any other. */
  stateOf(stream) {
    const state = stream[this.key]?.state;
    return state instanceof Http1State ? state : undefined;
  }

  /** Whether it is a TLS stream, whose connection is in a set too. */
  isStreamSet(set) {
    return set === this.secure || set === this.tunnels;
  }

  #setFor(server, event) {
    if (event === 'secureConnection') return isHttp1(server) ? this.secure : this.tunnels;
    if (!isHttp1(server)) return this.others;
    return isSecure(server) ? this.wrapped : this.plain;
  }

  /**
   * A server gets a connection (`connection`) or a TLS stream (`secureConnection`) for the first
   * time.
   */
  add(server, event, stream) {
    this.#add(this.#setFor(server, event), stream);
  }

  /** Whether a stream that comes to a server as a connection is of a watched one. */
  isOurs(server, stream) {
    return this.has(stream) || this.isLayer(server, stream);
  }

  /**
   * Whether such a stream, which is in no set yet, lies on a connection: scripts put TLS on one by
   * themselves, or a stream of their own, and give that to a server which does not listen.
   */
  isLayer(server, stream) {
    if (this.#carrierOf(stream) !== undefined) return true;
    const isOwn = stream instanceof Duplex && !(stream instanceof net.Socket);
    return isOwn && isHttp1(server) && !this.#listening.has(server);
  }

  /** A server gets such a layer. */
  addLayer(server, stream) {
    this.#add(this.tunnels, stream);
    if (isHttp1(server) && !isSecure(server)) this.#become(this.secure, stream);
  }

  #carrierOf(stream) {
    const carrier = carrierOf(stream);
    return carrier && this.has(carrier) ? carrier : undefined;
  }

  /**
   * A request comes on a stream, or was answered. It may not be known yet to speak HTTP/1: some
   * packages call Node's own listener of `connection`, and no server emits anything.
   * @returns {Http1State | undefined} what is kept of it; `undefined`: it is not ours
   */
  discover(stream) {
    const { set, state } = stream[this.key] ?? {};
    if (set === undefined || state !== undefined) return state;
    if (set === this.others || set === this.wrapped) this.#become(this.plain, stream);
    else if (set === this.tunnels) this.#become(this.secure, stream);
    return this.stateOf(stream);
  }

  /** A server passed a connection on to this one, which may speak HTTP/1. */
  passOn(server, event, stream) {
    const { set: from } = stream[this.key];
    const to = this.#setFor(server, event);
    const speaks = to === this.plain || to === this.secure;
    if (from === this.others && speaks) this.#become(this.plain, stream);
    else if (from === this.others && to === this.wrapped) this.#become(to, stream);
    else if (from === this.tunnels && speaks) this.#become(this.secure, stream);
  }

  /**
   * A TLS stream turned out to speak HTTP/1, which an http2 server with `allowHTTP1` may serve too.
   */
  fallBack(stream) {
    if (stream[this.key]?.set === this.tunnels) this.#become(this.secure, stream);
  }

  /**
   * An HTTP/2 session begins.
   * @returns {{ session: http2.ServerHttp2Session, socket: stream.Duplex, open: number } |
   *   undefined} what is kept of it, with its stream and how many of its streams are open
   */
  addSession(session) {
    const [stream, wrapped] = streamsOf(session);
    const link = stream[this.key] ?? wrapped?.[this.key];
    if (!link) return undefined;
    // Not `stream`: on a session that is a proxy, which refuses some calls.
    const { item: socket, set } = link;
    // It may have spoken HTTP/1 until a request upgraded it, which ends with the connection.
    const active = link.state?.active ?? 0;
    if (set === this.plain) this.#become(this.others, socket);
    else if (set === this.secure) this.#become(this.tunnels, socket);
    const state = { active, session, socket, open: 0 };
    socket[this.key].state = session[this.key] = state;
    return state;
  }

  #become(set, stream) {
    stream[this.key].set.delete(stream);
    this.#add(set, stream);
    const carrier = this.#carrierOf(stream);
    if (set !== this.secure || carrier?.[this.key].set !== this.others) return;
    this.#become(this.wrapped, carrier);
  }

  #add(set, stream) {
    if (set !== this.plain && set !== this.secure) return set.add(stream);
    return set.add(stream, this.#onHttp1(stream));
  }
}

module.exports = { ConnectionSets };
