'use strict';

// Handles, which sockets and servers of Node have below them (lib/net.js, src/handle_wrap.cc,
// src/stream_base.cc, src/tcp_wrap.cc). Read in Node 18.7 to 26.

const net = require('node:net');

/** The type of a connection's handle: src/tcp_wrap.cc (`SOCKET`). */
const SOCKET = 0;

/** The classes of handles that are known so far, by kind. */
const classes = new Map();

/**
 * Makes a handle of a descriptor, which belongs to the handle from then on.
 *
 * Node shows the classes of its handles only on sockets. The first descriptor of each kind is
 * opened by a socket, whose handle is taken away from it; from then on the class is known.
 * @param {number} fd
 * @param {'tcp' | 'pipe'} kind
 */
function openHandle(fd, kind) {
  const Known = classes.get(kind);
  if (Known) {
    const handle = new Known(SOCKET);
    const error = handle.open(fd);
    if (error) throw new Error(`open: errno ${-error}`);
    return handle;
  }
  const socket = new net.Socket({ fd, manualStart: true });
  const handle = socket._handle;
  socket._handle = null;
  classes.set(kind, handle.constructor);
  return handle;
}

/** Gives a connection's handle to the server of a listening handle, as Node does. */
function deliver(listening, connection) {
  listening.onconnection(0, connection);
}

/** The descriptor of a socket or a listening server; `undefined` where Node holds none. */
function descriptorOf(owner) {
  const fd = owner._handle?.fd;
  return fd >= 0 ? fd : undefined;
}

/**
 * Lets connections of one listening server belong to another one, which then counts them
 * (`maxConnections`, `getConnections`): Node creates them for the owner of the handle.
 */
function changeOwner(listening, owner) {
  const handle = listening._handle;
  const key = Object.getOwnPropertySymbols(handle).find((symbol) => handle[symbol] === listening);
  if (key) handle[key] = owner;
}

/**
 * Calls `called` when somebody closes a server that listens now, before Node emits anything:
 * `net.Server#close` closes the handle after it has added its callback as a listener. Returns
 * `false` if it does not listen.
 */
function onHandleClose(server, called) {
  const handle = server._handle;
  // Bun has none.
  if (!handle) return false;
  const { close } = handle;
  handle.close = function (...args) {
    handle.close = close;
    called();
    return close.apply(this, args);
  };
  return true;
}

/**
 * Closes the listening socket of a server, and nothing else. Its connections live on. To its script
 * it still listens: `close()` works, and `address()` answers what it did. Closing a handle twice
 * does nothing.
 */
function closeListeningSocket(server) {
  const handle = server._handle;
  if (!handle) {
    // Bun has none.
    if (server.listening) server.close();
    return;
  }
  const address = {};
  const hasAddress = handle.getsockname?.(address) === 0;
  if (hasAddress) handle.getsockname = (out) => (Object.assign(out, address), 0);
  Object.getPrototypeOf(handle).close.call(handle);
}

module.exports = {
  changeOwner, closeListeningSocket, deliver, descriptorOf, onHandleClose, openHandle,
};
