'use strict';

// The replacement of a listening handle in a cluster worker: the methods that `net.Server` calls on
// one (lib/net.js, `setupListenHandle`, `close`, `address`; lib/internal/cluster/child.js, `rr`).
// Read in Node 18.7 to 26.

const { AsyncResource } = require('node:async_hooks');
const fs = require('node:fs');
const net = require('node:net');

const UV_READABLE = 1;
const UV_WRITABLE = 2;

/** A handle without a socket. Connections are given to it by `deliver`. */
class ListeningHandle {
  #address;
  #path;
  #started;
  #onClose;
  #isClosed = false;
  #isHeld = false;
  #heldMode = 0;
  #context;

  /**
   * @param {{ address?: object, path?: string }} where `address` as `server.address()` returns it
   * @param {object} [events]
   * @param {() => void} [events.started] called when the server listens
   * @param {() => void} [events.onClose] called when the server closes it, once
   */
  constructor({ address, path }, { started, onClose } = {}) {
    this.#address = address;
    this.#path = path;
    this.#started = started;
    this.#onClose = onClose;
    const type = address ? 'TCPSERVERWRAP' : 'PIPESERVERWRAP';
    this.#context = new AsyncResource(type, { requireManualDestroy: true });
    // A unix socket has no getsockname: that is how server.address() tells the two apart.
    if (!address) this.getsockname = undefined;
    else this.fchmod = undefined;
  }

  /** It has no socket whose rights could be widened, until `move`. */
  hold() {
    this.#isHeld = true;
  }

  /**
   * It is at that address now, as for the constructor, and of the same kind. Returns 0, or the
   * error number of `fchmod`.
   */
  move({ address, path }) {
    this.#address = address;
    this.#path = path;
    this.#isHeld = false;
    return this.#heldMode && this.fchmod(this.#heldMode);
  }

  /** The kind of handle of its connections. */
  get kind() {
    return this.#address ? 'tcp' : 'pipe';
  }

  get isOpen() {
    return !this.#isClosed;
  }

  /** Whether it listens, or has listened, on that port or path. */
  isAt({ port, path }) {
    return path === undefined ? this.#address?.port === port : this.#path === path;
  }

  /**
   * Calls `enter` with `args` in the asynchronous context in which the server listens
   * (`AsyncLocalStorage`).
   */
  enter(enter, ...args) {
    return this.#context.runInAsyncScope(enter, undefined, ...args);
  }

  // Node asks for the tick in which it emits 'listening' right after this call. Only from then on
  // an HTTP server keeps a list of its connections: one that came before would never count as idle.
  listen() {
    process.nextTick(process.nextTick, () => this.#isClosed || this.#started?.());
    return 0;
  }

  close(callback) {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#onClose?.();
      this.#context.emitDestroy();
    }
    if (typeof callback === 'function') process.nextTick(callback);
  }

  getsockname(out) {
    Object.assign(out, this.#address);
    return 0;
  }

  /** Widens the rights to a unix socket. Returns 0, or the error number of Node. */
  fchmod(mode) {
    if (this.#isHeld) {
      this.#heldMode = mode;
      return 0;
    }
    const bits = (mode & UV_READABLE ? 0o444 : 0) | (mode & UV_WRITABLE ? 0o222 : 0);
    try {
      fs.chmodSync(this.#path, fs.statSync(this.#path).mode | bits);
      return 0;
    } catch (error) {
      return error.errno;
    }
  }

  // A worker lives as long as a server of it listens, as with node:cluster.
  ref() {}
  unref() {}
}

/**
 * A handle that cannot listen: Node makes the error and emits it.
 * @param {number} error negative, as of libuv
 * @param {() => void} [close] called when Node closes it
 */
function failingHandle(error, close = () => {}) {
  return { listen: () => error, close };
}

/**
 * A handle that never listens, but has the address that was asked for. Without a port it is a path.
 */
function silentHandle({ address, port }) {
  const family = net.isIPv4(address ?? '') ? 'IPv4' : 'IPv6';
  const getsockname = (out) => Object.assign(out, { address: address ?? '::', family, port }) && 0;
  return { getsockname: port < 0 ? undefined : getsockname, close() {}, ref() {}, unref() {} };
}

module.exports = { ListeningHandle, UV_READABLE, UV_WRITABLE, failingHandle, silentHandle };
