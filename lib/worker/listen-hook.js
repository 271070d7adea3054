'use strict';

// The one place that touches what Node does not document: in a cluster worker every net server's `listen()` goes through
// `cluster._getServer(server, query, callback)` (Node's lib/net.js, listenInCluster; lib/internal/cluster/child.js). Here it
// asks our master instead, and gives the server a handle with what net.Server calls on it.
//
// What always holds: `listen()` and `close()` are as synchronous as in a process of its own. The server has its handle, and so
// its address, when `listen()` returns; errors are Node's own (`listen EADDRINUSE: …`, in the next tick); and when `close()`
// returns, nobody is let in any more. Only where the master does not answer in time does the handle come later, as it does
// with node:cluster.

const { AsyncResource } = require('node:async_hooks');
const cluster = require('node:cluster');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const { isInherited, kernelPath } = require('../http/endpoint');
const { Lane } = require('./lane');

const UV_TCP_IPV6ONLY = 1;
const UV_READABLE = 1;
const UV_WRITABLE = 2;
const { EACCES, EADDRINUSE, ECANCELED, ENOENT, ENOTSUP } = os.constants.errno;

/** A handle that cannot listen, for an error number of Node's: with it, Node itself makes and emits the error. */
const failing = (error, close) => ({ listen: () => error, close });

/** A handle that never listens, but has an address: what was asked for. */
function silent({ address, port }) {
  const asked = { address: address ?? '::', family: net.isIPv4(address ?? '') ? 'IPv4' : 'IPv6', port };
  const getsockname = (out) => Object.assign(out, asked) && 0;
  return { getsockname: port < 0 ? undefined : getsockname, close() {}, ref() {}, unref() {} };
}

/** What `net.Server` takes for its listening handle. */
class ListenHandle {
  #hook;
  #listener;
  #address;
  #path;
  #closed = false;
  #lane;
  #serving = false;
  #origin;
  #server;
  #context = new AsyncResource('TCPSERVERWRAP', { requireManualDestroy: true });

  constructor(hook, server, { listener, address, path }, lane) {
    this.#hook = hook;
    this.#server = server;
    this.#listener = listener;
    this.#address = address;
    this.#path = path;
    this.#lane = lane;
    this.#origin = { listener, past: undefined };
    // A unix socket has no getsockname: that is how server.address() tells the two apart.
    if (!address) this.getsockname = undefined;
    else this.fchmod = undefined;
  }

  get listener() {
    return this.#listener;
  }

  get server() {
    return this.#server;
  }

  /** Whether its server has not closed it. */
  get isOpen() {
    return !this.#closed;
  }

  /** Whether its server has connections: as long as it has, Node does not emit `close`. */
  get hasConnections() {
    return this.#server._connections > 0;
  }

  /**
   * Calls `enter` as Node calls what a connection starts: in the asynchronous context in which the server listens
   * (`AsyncLocalStorage`).
   */
  enter(enter) {
    return this.#context.runInAsyncScope(enter);
  }

  /** Where connections of the lane come from (`Origin` of `src/protocol/connections.rs`). */
  get origin() {
    return this.#origin;
  }

  // Node asks for the tick in which it emits 'listening' right after this call. Only from then on an HTTP server keeps account
  // of its connections: one that came before would never count as idle, and so never be moved.
  listen(backlog) {
    process.nextTick(process.nextTick, () => this.#closed || this.#serve(backlog));
    return 0;
  }

  #serve(backlog) {
    this.#serving = true;
    if (this.hasLane) this.#hook.opensLane();
    this.#lane?.listen(backlog, (connection) => this.#hook.taken(this, connection), () => this.leaveLane());
    this.#hook.serve(this);
  }

  /** From now on connections come from the master alone, which is told. */
  leaveLane() {
    if (!this.hasLane) return;
    this.closeLane();
    if (this.#serving) this.#hook.serve(this);
  }

  /** Whether connections come by a lane, too. */
  get hasLane() {
    return this.#lane?.isOpen ?? false;
  }

  /** As `leaveLane`, where the master knows. */
  closeLane() {
    this.#lane?.close();
  }

  close(callback) {
    this.closeLane();
    if (!this.#closed) this.#hook.release(this);
    this.#closed = true;
    if (typeof callback === 'function') process.nextTick(callback);
  }

  getsockname(out) {
    Object.assign(out, this.#address);
    return 0;
  }

  /** Widens the rights to a unix socket by `UV_READABLE` and `UV_WRITABLE`. Returns an error number of Node's, or 0. */
  fchmod(mode) {
    const bits = (mode & UV_READABLE ? 0o444 : 0) | (mode & UV_WRITABLE ? 0o222 : 0);
    try {
      fs.chmodSync(this.#path, fs.statSync(this.#path).mode | bits);
      return 0;
    } catch (error) {
      return error.errno;
    }
  }

  // The worker lives as long as its channel to the master, as with node:cluster.
  ref() {}
  unref() {}
}

class ListenHook {
  #session;
  #seq = 0;
  #pending = new Map();
  /** Listeners whose server was closed, also before it listened: the master has bound the address all the same. */
  #released = new Set();
  #zeros = 0;

  constructor(session) {
    this.#session = session;
  }

  install() {
    cluster._getServer = (server, query, callback) => this.#getServer(server, query, callback);
  }

  #getServer(server, query, callback) {
    if (typeof query.addressType === 'string') return process.nextTick(callback, -ENOTSUP, null);
    // An inherited descriptor is the worker's own business: without a handle, Node makes one itself.
    if (query.fd >= 0) return callback(0, null);
    // A handle that the script has made: Node 18 asks for those too.
    if (query.addressType === -1 && query.address === null) return callback(0, server._handle);
    this.#session.onListen(server, query.addressType === -1 ? query.address : query.port);
    const { _listeningId } = server;
    const bind = { type: 'bind', seq: ++this.#seq, wanted: this.#wanted(query) };
    const answer = this.#session.ask(bind);
    if (answer) return this.#answered(server, query, answer);
    this.#pending.set(bind.seq, (late) => {
      // Closed meanwhile, or listening elsewhere. Node counts its calls since version 20.
      const mode = (query.readableAll ? UV_READABLE : 0) | (query.writableAll ? UV_WRITABLE : 0);
      if (server._listeningId === _listeningId) this.#answered(server, query, late, mode);
      else this.#decline(late);
    });
    this.#session.report(bind);
  }

  #wanted({ address, port, addressType, backlog, flags }) {
    const common = { backlog: Math.min(backlog > 0 ? backlog : 0, 65535) };
    if (addressType === -1) return { ...common, address: kernelPath(address), port: null };
    const index = port === 0 ? this.#zeros++ : 0;
    return { ...common, address: address || null, port, index, v6Only: (flags & UV_TCP_IPV6ONLY) !== 0 };
  }

  /** The master's answer to a `bind` that came late, with the descriptor of the lane, or -1. */
  answer(order, lane) {
    const pending = this.#pending.get(order.seq);
    this.#pending.delete(order.seq);
    pending?.({ order, lane });
    this.#tellReleased();
  }

  serve({ listener, hasLane }) {
    this.#session.report({ type: 'serve', listener, lane: hasLane });
  }

  opensLane() {
    this.#session.watchRoom();
  }

  taken(handle, connection) {
    this.#session.accepted(handle, connection);
  }

  /** A server closes. A worker that leaves keeps the address until another one serves there. */
  release(handle) {
    this.#session.onClosed(handle.server);
    this.#session.departure.onClose();
    if (!this.#session.departure.isActive) this.forget(handle);
  }

  /** The master hands over no more connections of it, and closes it where nobody serves it. */
  forget({ listener }) {
    this.#session.handles.delete(listener);
    this.#released.add(listener);
    this.#tellReleased();
  }

  // Not while an answer is on its way, which may be that the next server has this very listener.
  #tellReleased() {
    if (this.#pending.size > 0) return;
    for (const listener of this.#released) {
      const unserve = { type: 'unserve', listener };
      if (!this.#session.handles.has(listener) && !this.#session.ask(unserve)) this.#session.report(unserve);
    }
    this.#released.clear();
  }

  // As Node does with what the primary answers, but that the server has an address and not `null` (`listenInCluster`). With a
  // `mode`, Node asks for the rights of the unix socket no more.
  #answered(server, query, answer, mode = 0) {
    const { errno, address: bound, path } = answer.order;
    // The cluster is leaving, and the order to leave comes to this worker too: no error, it just never listens.
    if (errno === ECANCELED) return (server._handle = silent(query));
    server._handle = this.#take(server, answer);
    const error = mode && server._handle.fchmod?.(mode);
    if (error) {
      server._handle.close();
      server._handle = failing(error, () => {});
    }
    // Asked for by its name, `server.address()` tells where it is all the same.
    if (isInherited(query.address)) server._pipeName = path ?? undefined;
    const { port, backlog, fd, flags } = query;
    if (query.address !== null) return server._listen2(query.address, port, query.addressType, backlog, fd, flags);
    // Of all addresses Node tries those of IPv6 first, and learns from `listen` that they are in use.
    const isIPv6 = bound ? bound.family === 'IPv6' : errno === undefined || errno === EADDRINUSE;
    server._listen2(isIPv6 ? '::' : '0.0.0.0', port, isIPv6 ? 6 : 4, backlog, fd, flags);
  }

  #decline({ order, lane }) {
    if (lane >= 0) fs.close(lane, () => {});
    if (order.type === 'bound') this.#released.add(order.listener);
  }

  #take(server, { order, lane: fd }) {
    const refused = (errno) => failing(-errno, () => this.#session.onClosed(server));
    const lane = fd < 0 ? undefined : laneOf(fd);
    // libuv tells of a path that is not there as of one without rights, for the sake of Windows.
    if (order.type === 'bindFailed') return refused(order.errno === ENOENT ? EACCES : order.errno);
    if (this.#session.handles.get(order.listener)?.isOpen) {
      lane?.close();
      return refused(EADDRINUSE);
    }
    const handle = new ListenHandle(this, server, order, lane);
    this.#session.handles.set(handle.listener, handle);
    return handle;
  }
}

/** Without a lane all connections come from the master. */
function laneOf(fd) {
  try {
    return new Lane(fd);
  } catch {
    fs.close(fd, () => {});
    return undefined;
  }
}

module.exports = { ListenHook };
