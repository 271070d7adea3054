'use strict';

// What Node does not document and what is no part of the listen hook or the intake: one small function
// each, which says in which versions of Node it was read, and what happens where a later one has it no
// more. What always holds: nothing here leaves a trace on an object of the app.

const http = require('node:http');

let connectionsKey;
/** What servers that have no list of their own are lent, and the class of such lists. */
const lent = new WeakMap();
let List;

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
    const lists = [connectionsOf(server), lent.get(server)].filter((list) => list?.idle);
    for (const list of lists) for (const { socket } of list.idle()) idle.add(socket);
    if (lists.length === 0) whatItCloses(server, streams).forEach((stream) => idle.add(stream));
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

/**
 * Lends a server that has no list of its own, as it does not listen, one for the connection that it is about to take in: so that
 * `idleAmong` knows that connection too. Node looks at no list but the server's own, so nothing else changes. To be followed by
 * `untrackIdle`. Read in 18.7 to 26: lib/_http_server.js (`connectionListenerInternal`).
 */
function trackIdle(server) {
  const mayBeHttp1 = typeof server.closeIdleConnections === 'function' || typeof server.updateSettings === 'function';
  if (!mayBeHttp1 || connectionsOf(server) !== undefined) return;
  List ??= listClass();
  if (List === undefined) return;
  if (!lent.has(server)) lent.set(server, new List());
  server[connectionsKey] = lent.get(server);
}

function untrackIdle(server) {
  const list = lent.get(server);
  if (list !== undefined && server[connectionsKey] === list) delete server[connectionsKey];
}

// A server makes its list as soon as it listens, or in Node 18.7 is made.
function listClass() {
  const server = http.createServer();
  server.emit('listening');
  const list = connectionsOf(server);
  server.close(() => {});
  return list?.constructor;
}

/** What carries a TLS connection: the connection as it came. Read in 18.7 to 26: lib/_tls_wrap.js, lib/net.js. */
function carrierOf(stream) {
  return stream._parent ?? undefined;
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

module.exports = {
  carrierOf,
  closeListeningSocket,
  idleAmong,
  listeningDescriptor,
  onHandleClose,
  speaksHttp1,
  trackIdle,
  untrackIdle,
};
