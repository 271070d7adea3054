'use strict';

// In a cluster worker each net server's `listen()` asks our master for the address, and then
// listens on a handle without a socket (`listener.js`).
//
// What always holds: `listen()` and `close()` are as synchronous as in a process of its own. The
// server has its handle, and so its address, when `listen()` returns; errors are Node's own
// (`listen EADDRINUSE: …`, in the next tick); and when `close()` returns, no further connection is
// let in. Only where the master does not answer in time does the handle come later, as it does with
// node:cluster. In a spare, `listen()` takes until it is activated: the server has its handle and
// its address, but listens only then.
//
// Workers share an address that each of them asks for. What only this process can mean is bound by
// Node, for this process alone: a port 0 of a server that does not keep its process alive, as one
// does that looks for a free port; a port 0 once this worker is ready, since how many it asked for
// then depends on its requests; and in a worker that leaves, what no other one serves.

const os = require('node:os');
const { isInherited, kernelPath } = require('../http/endpoint');
const { failingHandle, onHandleClose, onListen } = require('../node-internals');
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
  /** The calls of a spare that wait until it is activated; `undefined`: it is not a spare. */
  #held;

  constructor(session) {
    this.#session = session;
  }

  install() {
    if (this.#session.identity.spare) {
      this.#held = [];
      require('./warm-up').warmUp();
    }
    onListen((call) => this.#listen(call));
  }

  #listen(call) {
    if (call.port === 0 && (call.isUnrefed || this.#session.wasReady)) return this.#bindAlone(call);
    this.#session.onListen(call.server, call.path ?? call.port);
    const wanted = this.#wanted(call);
    return this.#bind(wanted, (answer, isLate) => {
      if (isLate && !call.isCurrent) this.#decline(answer);
      else if (this.#held && answer.type === 'bound') this.#hold(call, wanted, answer, isLate);
      else this.#answered(call, answer, isLate);
    });
  }

  #bindAlone(call) {
    const { traffic } = this.#session;
    call.bindAlone();
    traffic.watch(call.server);
    if (!onHandleClose(call.server, () => traffic.forget(call.server)))
      traffic.forget(call.server);
  }

  /** Calls `answered` with the master's answer: before this returns, or late. */
  #bind(wanted, answered) {
    const bind = { type: 'bind', seq: ++this.#seq, wanted };
    const answer = this.#session.ask(bind);
    if (answer) return answered(answer, false);
    this.#pending.set(bind.seq, (late) => answered(late, true));
    this.#session.report(bind);
  }

  #hold(call, wanted, answer, isLate) {
    const listener = this.#listenerFor(call.server, answer);
    if (!listener) return this.#answered(call, answer, isLate);
    if (isInherited(call.path)) call.showPath(answer.path ?? undefined);
    call.hold(listener.handle);
    this.#held.push({ call, wanted, listener });
    this.#session.spare.onHeld();
  }

  /** This spare is one no longer: what waits listens, if its server was not closed meanwhile. */
  activate() {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const one of held) {
      if (!one.listener.isOpen) continue;
      // Perhaps it is another socket by now, or cannot be bound any more.
      this.#bind(one.wanted, (answer) => {
        if (one.listener.isOpen) this.#resume(one, answer);
        else this.#decline(answer);
      });
    }
  }

  #resume({ call, listener }, answer) {
    const { listeners } = this.#session;
    if (listeners.get(listener.id) === listener) listeners.delete(listener.id);
    const isTaken = listeners.get(answer.listener)?.isOpen;
    if (answer.type !== 'bound' || isTaken) {
      return listener.enter(() => this.#answered(call, answer, true));
    }
    const error = listener.move(answer);
    listeners.set(listener.id, listener);
    if (error) listener.handle.close();
    const handle = error ? failingHandle(error) : listener.handle;
    listener.enter(() => call.finish(handle, { isIPv6: isIPv6(answer), isLate: false }));
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

  /** Whether a server listens, or waits for the master's answer. */
  get mayListen() {
    const { listeners } = this.#session;
    return this.#pending.size > 0 || [...listeners.values()].some(({ isOpen }) => isOpen);
  }

  /** A server closes. A worker that leaves keeps the address until another one serves there. */
  release(listener) {
    this.#session.stopAccepting(listener.id);
    this.#session.departure.onClose();
    this.#session.onClosed(listener.server);
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
    const { errno, path } = answer;
    if (errno === ECANCELED) return this.#canceled(call);
    const handle = this.#handleFor(call.server, answer);
    // Asked for by its name, `server.address()` returns where it is all the same.
    if (isInherited(call.path)) call.showPath(path ?? undefined);
    return call.finish(handle, { isIPv6: isIPv6(answer), isLate });
  }

  // This worker leaves, or the order to leave is on its way. The app gets no error: it never
  // listens. A server that is new goes on as in plain Node.
  #canceled(call) {
    const { listeners, wasReady } = this.#session;
    const { port, path } = call;
    const address = { port, path: path === undefined ? undefined : kernelPath(path) };
    if (!wasReady || [...listeners.values()].some(({ handle }) => handle.isAt(address)))
      return call.neverListen();
    this.#session.onClosed(call.server);
    return this.#bindAlone(call);
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
    return this.#listenerFor(server, order)?.handle ?? refused(EADDRINUSE);
  }

  /** `undefined`: another server listens there. */
  #listenerFor(server, order) {
    if (this.#session.listeners.get(order.listener)?.isOpen) return undefined;
    const listener = new Listener(this, server, order);
    this.#session.listeners.set(listener.id, listener);
    return listener;
  }
}

// Of all addresses Node tries those of IPv6 first, and learns from `listen` that they are in use.
function isIPv6({ address, errno }) {
  return address ? address.family === 'IPv6' : errno === undefined || errno === EADDRINUSE;
}

module.exports = { ListenHook };
