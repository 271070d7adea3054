'use strict';

// The one place that touches what Node does not document: in a cluster worker every net server's `listen()` goes through
// `cluster._getServer(server, query, callback)` (Node's lib/net.js, listenInCluster; lib/internal/cluster/child.js). Here it
// asks our master instead, and answers with a handle that has just what net.Server calls on it.

const cluster = require('node:cluster');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const UV_TCP_IPV6ONLY = 1;
const UV_TCP_REUSEPORT = 2;
const { EADDRINUSE, ENOTSUP, EINVAL } = os.constants.errno;

/** What `net.Server` takes for its listening handle. */
class ListenHandle {
  #session;
  #wanted;
  #listener;
  #address;
  #listening = false;

  constructor(session, wanted, { listener, address }) {
    this.#session = session;
    this.#wanted = wanted;
    this.#listener = listener;
    this.#address = address;
    // A unix socket has no getsockname: that is how server.address() tells the two apart.
    if (!address) this.getsockname = undefined;
  }

  get listener() {
    return this.#listener;
  }

  listen() {
    this.#listening = true;
    this.#session.report({ type: 'serve', listener: this.#listener });
    return 0;
  }

  close(callback) {
    if (this.#listening) this.#session.report({ type: 'unserve', listener: this.#listener });
    this.#listening = false;
    this.#session.handles.delete(this.#listener);
    if (typeof callback === 'function') process.nextTick(callback);
  }

  getsockname(out) {
    Object.assign(out, this.#address);
    return 0;
  }

  // `readableAll` and `writableAll` of a unix socket.
  fchmod(mode) {
    const bits = (mode & 1 ? 0o444 : 0) | (mode & 2 ? 0o222 : 0);
    try {
      fs.chmodSync(this.#wanted.address, fs.statSync(this.#wanted.address).mode | bits);
      return 0;
    } catch (error) {
      return error.errno ?? -EINVAL;
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
    this.#session.traffic.watch(server);
    const wanted = this.#wanted(query, flags);
    const seq = ++this.#seq;
    this.#pending.set(seq, (answer) => this.#answered(wanted, answer, callback));
    this.#session.report({ type: 'bind', seq, wanted });
  }

  #wanted({ address, port, addressType, backlog }, flags) {
    const common = { backlog: Math.min(backlog > 0 ? backlog : 0, 65535) };
    if (addressType === -1) return { ...common, address: path.resolve(address), port: null };
    const index = port === 0 ? this.#zeros++ : 0;
    return { ...common, address: address || null, port, index, v6Only: (flags & UV_TCP_IPV6ONLY) !== 0 };
  }

  /** The master's answer to a `bind`. */
  answer(order) {
    const pending = this.#pending.get(order.seq);
    this.#pending.delete(order.seq);
    pending?.(order);
  }

  #answered(wanted, answer, callback) {
    if (answer.type === 'bindFailed') return callback(-answer.errno, null);
    if (this.#session.handles.has(answer.listener)) return callback(-EADDRINUSE, null);
    const handle = new ListenHandle(this.#session, wanted, answer);
    this.#session.handles.set(handle.listener, handle);
    callback(0, handle);
  }
}

module.exports = { ListenHook };
