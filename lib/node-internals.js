'use strict';

// What Node does not document and what is no part of the listen hook or the intake: one small function
// each, which says in which versions of Node it was read, and what happens where a later one has it no
// more. What always holds: nothing here leaves a trace on an object of the app.

let connectionsKey;

/**
 * Node's own list of the HTTP/1 connections of a server, from the moment it listens. Read in 18.7 to 26: lib/_http_server.js
 * (`kConnections`), src/node_http_parser.cc (`ConnectionsList`).
 */
function connectionsOf(server) {
  const isKey = ({ description }) => description === 'http.server.connections';
  connectionsKey ??= Object.getOwnPropertySymbols(server).find(isKey);
  return connectionsKey === undefined ? undefined : server[connectionsKey];
}

/**
 * Those of `streams` that `closeIdleConnections()` of their servers takes for idle: they had a request, and are between two
 * messages.
 * @param {net.Socket[]} streams HTTP/1 connections
 * @returns {Set<net.Socket>}
 */
function idleAmong(streams) {
  const idle = new Set();
  for (const server of new Set(streams.map(({ server }) => server))) {
    const connections = connectionsOf(server);
    if (connections?.idle) for (const { socket } of connections.idle()) idle.add(socket);
    else whatItCloses(server, streams).forEach((stream) => idle.add(stream));
  }
  return new Set(streams.filter((stream) => idle.has(stream)));
}

// Without the list, Node tells only by destroying them: for the time of the call, `destroy` is set aside.
function whatItCloses(server, streams) {
  const closed = [];
  const own = streams.map((stream) => Object.getOwnPropertyDescriptor(stream, 'destroy'));
  for (const stream of streams) {
    const value = () => closed.push(stream);
    Reflect.defineProperty(stream, 'destroy', { value, configurable: true, writable: true });
  }
  try {
    // Before Node 20 an http2 server with `allowHTTP1` has no such method.
    server.closeIdleConnections?.();
  } finally {
    streams.forEach((stream, index) => {
      if (own[index]) Reflect.defineProperty(stream, 'destroy', own[index]);
      else delete stream.destroy;
    });
  }
  return closed;
}

/** Whether a connection still speaks HTTP/1: it was not upgraded. Read in 18.7 to 26: lib/_http_common.js (`freeParser`). */
function speaksHttp1(stream) {
  return Boolean(stream.parser);
}

/**
 * Calls `called` when somebody closes a server that listens now, before Node emits anything. `net.Server#close` calls
 * `_handle.close()` after it has added its callback as a listener (lib/net.js of Node 18 to 26).
 */
function onHandleClose(server, called) {
  const handle = server._handle;
  const { close } = handle;
  handle.close = function (...args) {
    handle.close = close;
    called();
    return close.apply(this, args);
  };
}

/**
 * The descriptor of a listening socket that is Node's own; `undefined` where there is none (HandleWrap, src/stream_base.cc of
 * Node 18 to 26).
 */
function listeningDescriptor(server) {
  const fd = server._handle?.fd;
  return fd >= 0 ? fd : undefined;
}

/**
 * Closes the listening socket of a server. Its connections live on, and to its script it is a server that listens: `close()`
 * works as ever, `address()` answers what it did. Closing a handle twice does nothing (src/handle_wrap.cc of Node 18 to 26).
 */
function closeListeningSocket(server) {
  const handle = server._handle;
  if (!handle) return;
  const address = {};
  if (handle.getsockname?.(address) === 0) handle.getsockname = (out) => (Object.assign(out, address), 0);
  Object.getPrototypeOf(handle).close.call(handle);
}

module.exports = { closeListeningSocket, idleAmong, listeningDescriptor, onHandleClose, speaksHttp1 };
