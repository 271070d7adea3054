'use strict';

// Where a server of a cluster worker gets its handle: lib/net.js (`listenInCluster`, `_listen2`),
// lib/internal/cluster/child.js (`_getServer`). Read in Node 18.7 to 26.

const cluster = require('node:cluster');
const os = require('node:os');
const { UV_READABLE, UV_WRITABLE, failingHandle, silentHandle } = require('./listening-handle');

const UV_TCP_IPV6ONLY = 1;
const PATH = -1;
const { ENOTSUP } = os.constants.errno;
/** How long the name of an abstract socket is in the kernel, bytes. */
const NAME_LENGTH = 108;

/** One call of `listen()` that waits for a handle. */
class ListenCall {
  #server;
  #query;
  /** Node numbers the calls since version 20. */
  #id;

  constructor(server, query) {
    this.#server = server;
    this.#query = query;
    this.#id = server._listeningId;
  }

  get server() {
    return this.#server;
  }

  /** The path of the unix socket; `undefined`: it is TCP. */
  get path() {
    return this.#query.addressType === PATH ? this.#query.address : undefined;
  }

  /** The IP address; `undefined`: all. */
  get address() {
    return this.#query.address || undefined;
  }

  get port() {
    return this.#query.port;
  }

  get backlog() {
    return this.#query.backlog;
  }

  /** Whether `::` leaves IPv4 alone. */
  get isV6Only() {
    return (this.#query.flags & UV_TCP_IPV6ONLY) !== 0;
  }

  /** Whether the server was told not to keep its process alive. */
  get isUnrefed() {
    return Boolean(this.#server._unref);
  }

  /**
   * Whether the server still waits for this handle: it was neither closed, nor told to listen
   * again.
   */
  get isCurrent() {
    return this.#server._listeningId === this.#id;
  }

  /**
   * Lets the server have its handle, and so its address, but not listen yet: `finish` goes on from
   * there. In Node it is in that state from `listen()` to the next tick.
   */
  hold(handle) {
    handle.hold();
    this.#server._handle = handle;
  }

  /** Has Node bind the address, for this process alone. */
  bindAlone() {
    const { address, port, addressType, backlog, fd, flags } = this.#query;
    // Without a handle, Node makes one itself.
    this.#server._handle = null;
    this.#server._listen2(address, port, addressType, backlog, fd, flags);
  }

  /** Lets the server listen as far as its script sees, for good. */
  neverListen() {
    this.#server._handle = silentHandle(this.#query);
  }

  /** Has `server.address()` return another path than the one that was asked for. */
  showPath(path) {
    this.#server._pipeName = path;
  }

  /**
   * Gives the server its handle, and has Node listen on it.
   * @param {object} handle a `ListeningHandle` or a `failingHandle`
   * @param {{ isIPv6: boolean, isLate: boolean }} how `isIPv6`: the family where all addresses are
   *   meant; `isLate`: `listen()` has returned, so that Node widens no rights any more
   */
  finish(handle, { isIPv6, isLate }) {
    const server = this.#server;
    const { address, port, addressType, backlog, fd, flags } = this.#query;
    server._handle = handle;
    if (isLate) this.#widen(handle);
    if (address !== null) return server._listen2(address, port, addressType, backlog, fd, flags);
    return server._listen2(isIPv6 ? '::' : '0.0.0.0', port, isIPv6 ? 6 : 4, backlog, fd, flags);
  }

  #widen(handle) {
    const { readableAll, writableAll } = this.#query;
    const mode = (readableAll ? UV_READABLE : 0) | (writableAll ? UV_WRITABLE : 0);
    const error = mode && handle.fchmod?.(mode);
    if (!error) return;
    handle.close();
    this.#server._handle = failingHandle(error);
  }
}

/**
 * Has `listen` give each server of this worker its handle, instead of Node's own primary.
 * @param {(call: ListenCall) => void} listen called for each `listen()` on a port or a path
 */
function onListen(listen) {
  cluster._getServer = (server, query, callback) => {
    // Of UDP sockets the type is a name.
    if (typeof query.addressType === 'string') return process.nextTick(callback, -ENOTSUP, null);
    // An inherited descriptor is the worker's own business: without a handle, Node makes one
    // itself.
    if (query.fd >= 0) return callback(0, null);
    // A handle that the script has made: Node 18 asks for those too.
    if (query.addressType === PATH && query.address === null) return callback(0, server._handle);
    return listen(new ListenCall(server, query));
  };
}

/**
 * Keeps this worker alive when its IPC channel closes, at which Node ends a worker at once.
 * @param {() => void} closed called then
 */
function outliveMaster(closed) {
  cluster.worker.exitedAfterDisconnect = true;
  process.once('disconnect', closed);
}

/**
 * The name that Node gives an abstract socket, by which its own clients find it. Before version 20
 * it knew none, and took all for the empty one; 20 fills names up. Read off /proc/net/unix.
 */
function abstractName(name, version = process.versions.node) {
  const major = Number.parseInt(version);
  if (major < 20) return '\0'.repeat(NAME_LENGTH);
  return major < 22 ? name.padEnd(NAME_LENGTH, '\0') : name;
}

module.exports = { abstractName, onListen, outliveMaster };
