'use strict';

// The one place that touches what Node does not document: in a cluster worker every net server's `listen()` goes through
// `cluster._getServer(server, query, callback)` (Node's lib/net.js, listenInCluster; lib/internal/cluster/child.js). Here it
// asks our master instead, and answers with a handle that has just what net.Server calls on it.

const cluster = require('node:cluster');
const fs = require('node:fs');
const os = require('node:os');
const { isInherited, socketPath } = require('../socket-path');
const { Lane } = require('./lane');

const UV_TCP_IPV6ONLY = 1;
const UV_TCP_REUSEPORT = 2;
const { EADDRINUSE, ECANCELED, ENOTSUP } = os.constants.errno;

/** What Node closes instead of a handle, if the server was closed before it turned out that it cannot listen. */
const NO_HANDLE = { close() {} };

/** What `net.Server` takes for its listening handle. */
class ListenHandle {
  #hook;
  #listener;
  #address;
  #closed = false;
  #lane;
  #origin;
  #server;

  constructor(hook, server, { listener, address }, lane) {
    this.#hook = hook;
    this.#server = server;
    this.#listener = listener;
    this.#address = address;
    this.#lane = lane;
    this.#origin = { listener, idle: 0 };
    // A unix socket has no getsockname: that is how server.address() tells the two apart.
    if (!address) this.getsockname = undefined;
  }

  get listener() {
    return this.#listener;
  }

  get server() {
    return this.#server;
  }

  /** Where connections of the lane come from (`Origin` of `src/ipc/frame.rs`). */
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
    this.#lane?.listen(backlog, (connection) => this.#hook.taken(this, connection), () => this.leaveLane());
    this.#hook.serve(this);
  }

  /** From now on connections come from the master alone, which is told. */
  leaveLane() {
    this.closeLane();
    this.#hook.serve(this);
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
    const flags = query.flags ?? 0;
    // An inherited descriptor and `reusePort` are the worker's own business: without a handle, Node makes one itself.
    if (query.fd >= 0 || flags & UV_TCP_REUSEPORT) return process.nextTick(callback, 0, null);
    this.#session.onListen(server, query.addressType === -1 ? query.address : query.port);
    const wanted = this.#wanted(query, flags);
    const seq = ++this.#seq;
    this.#pending.set(seq, (...answer) => this.#answered(server, query, callback, ...answer));
    this.#session.report({ type: 'bind', seq, wanted });
  }

  #wanted({ address, port, addressType, backlog }, flags) {
    const common = { backlog: Math.min(backlog > 0 ? backlog : 0, 65535) };
    if (addressType === -1) return { ...common, address: socketPath(address), port: null };
    const index = port === 0 ? this.#zeros++ : 0;
    return { ...common, address: address || null, port, index, v6Only: (flags & UV_TCP_IPV6ONLY) !== 0 };
  }

  /** The master's answer to a `bind`, with the descriptor of the lane, or -1. */
  answer(order, fd) {
    const pending = this.#pending.get(order.seq);
    this.#pending.delete(order.seq);
    const lane = fd < 0 ? undefined : laneOf(fd);
    pending?.(order, lane);
    this.#tellReleased();
  }

  serve({ listener, hasLane }) {
    this.#session.report({ type: 'serve', listener, lane: hasLane });
  }

  taken(handle, connection) {
    this.#session.accepted(handle, connection);
  }

  release({ listener, server }) {
    this.#session.handles.delete(listener);
    this.#session.onClosed(server);
    this.#released.add(listener);
    this.#tellReleased();
  }

  // Not while an answer is on its way, which may be that the next server has this very listener.
  #tellReleased() {
    if (this.#pending.size > 0) return;
    for (const listener of this.#released) {
      if (!this.#session.handles.has(listener)) this.#session.report({ type: 'unserve', listener });
    }
    this.#released.clear();
  }

  #answered(server, query, callback, answer, lane) {
    // The cluster is leaving, and the order to leave comes to this worker too: no error, it just never listens.
    if (answer.errno === ECANCELED) return;
    if (answer.type === 'bindFailed') return this.#refused(server, callback, answer.errno);
    if (this.#session.handles.has(answer.listener)) {
      lane?.close();
      return this.#refused(server, callback, EADDRINUSE);
    }
    const handle = new ListenHandle(this, server, answer, lane);
    this.#session.handles.set(handle.listener, handle);
    // Asked for by its name, `server.address()` tells where it is all the same.
    if (isInherited(query.address)) server._pipeName = answer.path ?? undefined;
    const error = widen(query);
    if (error) handle.close();
    callback(error, error ? NO_HANDLE : handle);
  }

  #refused(server, callback, errno) {
    this.#session.onClosed(server);
    callback(-errno, NO_HANDLE);
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

/** Does what `readableAll` and `writableAll` of a unix socket ask for; returns an error number of Node's, or 0. */
function widen({ address, readableAll, writableAll }) {
  const bits = (readableAll ? 0o444 : 0) | (writableAll ? 0o222 : 0);
  try {
    if (bits) fs.chmodSync(address, fs.statSync(address).mode | bits);
    return 0;
  } catch (error) {
    return error.errno;
  }
}

module.exports = { ListenHook };
