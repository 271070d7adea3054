'use strict';

// In a cluster worker each net server's `listen()` asks our master for the address, and then
// listens on a handle without a socket (`listener.js`).
//
// What always holds: `listen()` and `close()` are as synchronous as in a process of its own. The
// server has its handle, and so its address, when `listen()` returns; errors are Node's own
// (`listen EADDRINUSE: …`, in the next tick); and when `close()` returns, no further connection is
// let in. Only where the master does not answer in time does the handle come later, as it does with
// node:cluster.

const os = require('node:os');
const { isInherited, kernelPath } = require('../http/endpoint');
const { failingHandle, onListen } = require('../node-internals');
const { Listener } = require('./listener');

const { EACCES, EADDRINUSE, ECANCELED, ENOENT } = os.constants.errno;
/** The longest queue of a listening socket that the master is asked for. */
const MAX_BACKLOG = 65535;

class ListenHook {
  #session;
  #seq = 0;
  #pending = new Map();
  /**
   * Listeners whose server was closed, perhaps before it listened: the master has bound the
   * address.
   */
  #released = new Set();
  #zeros = 0;

  constructor(session) {
    this.#session = session;
  }

  install() {
    onListen((call) => this.#listen(call));
  }

  #listen(call) {
    this.#session.onListen(call.server, call.path ?? call.port);
    const bind = { type: 'bind', seq: ++this.#seq, wanted: this.#wanted(call) };
    const answer = this.#session.ask(bind);
    if (answer) return this.#answered(call, answer, false);
    this.#pending.set(bind.seq, (late) => {
      if (call.isCurrent) this.#answered(call, late, true);
      else this.#decline(late);
    });
    this.#session.report(bind);
  }

  #wanted({ path, address, port, backlog, isV6Only }) {
    const common = { backlog: Math.min(backlog > 0 ? backlog : 0, MAX_BACKLOG) };
    if (path !== undefined) return { ...common, address: kernelPath(path), port: null };
    const index = port === 0 ? this.#zeros++ : 0;
    return { ...common, address: address ?? null, port, index, v6Only: isV6Only };
  }

  /** The master's answer to a `bind` came late. */
  answer(order) {
    const pending = this.#pending.get(order.seq);
    this.#pending.delete(order.seq);
    pending?.(order);
    this.#tellReleased();
  }

  serve(listener) {
    this.#session.serve(listener);
  }

  /** A server closes. A worker that leaves keeps the address until another one serves there. */
  release(listener) {
    this.#session.stopAccepting(listener.id);
    this.#session.onClosed(listener.server);
    this.#session.departure.onClose();
    if (!this.#session.departure.isActive) this.forget(listener);
  }

  /** The master hands over no more connections of it, and closes it if no worker serves it. */
  forget({ id }) {
    this.#session.listeners.delete(id);
    this.#released.add(id);
    this.#tellReleased();
  }

  // Not while an answer is on its way, which may be that the next server has this very listener.
  #tellReleased() {
    if (this.#pending.size > 0) return;
    for (const listener of this.#released) {
      const unserve = { type: 'unserve', listener };
      if (this.#session.listeners.has(listener)) continue;
      if (!this.#session.ask(unserve)) this.#session.report(unserve);
    }
    this.#released.clear();
  }

  // As Node does with its primary's answer, except that the server has an address and not `null`.
  #answered(call, answer, isLate) {
    const { errno, address: bound, path } = answer;
    // The cluster leaves, and the order to leave comes to this worker too: no error, it never
    // listens.
    if (errno === ECANCELED) return call.neverListen();
    const handle = this.#handleFor(call.server, answer);
    // Asked for by its name, `server.address()` returns where it is all the same.
    if (isInherited(call.path)) call.showPath(path ?? undefined);
    // Of all addresses Node tries those of IPv6 first, and learns from `listen` that they are in
    // use.
    const isIPv6 = bound ? bound.family === 'IPv6' : errno === undefined || errno === EADDRINUSE;
    return call.finish(handle, { isIPv6, isLate });
  }

  #decline(answer) {
    if (answer.type !== 'bound') return;
    this.#session.stopAccepting(answer.listener);
    this.#released.add(answer.listener);
  }

  #handleFor(server, order) {
    const refused = (errno) => failingHandle(-errno, () => this.#session.onClosed(server));
    // libuv reports a missing path as one without rights, for the sake of Windows.
    if (order.type === 'bindFailed') return refused(order.errno === ENOENT ? EACCES : order.errno);
    if (this.#session.listeners.get(order.listener)?.isOpen) return refused(EADDRINUSE);
    const listener = new Listener(this, server, order);
    this.#session.listeners.set(listener.id, listener);
    return listener.handle;
  }
}

module.exports = { ListenHook };
