'use strict';

// Node's own list of the HTTP/1 connections of a server (lib/_http_server.js, `kConnections`;
// src/node_http_parser.cc, `ConnectionsList`). Read in Node 18.7 to 26.

const http = require('node:http');
const { now } = require('../clock');

let connectionsKey;
/** The lists that are lent to servers without one, and the class of such lists. */
const lent = new WeakMap();
let List;

/**
 * Node's own list of the HTTP/1 connections of a server, from the moment it listens:
 * lib/_http_server.js (`kConnections`), src/node_http_parser.cc (`ConnectionsList`).
 */
function connectionsOf(server) {
  const isKey = ({ description }) => description === 'http.server.connections';
  connectionsKey ??= Object.getOwnPropertySymbols(server).find(isKey);
  return connectionsKey === undefined ? undefined : server[connectionsKey];
}

/**
 * Those of `streams` that `closeIdleConnections()` of their servers takes for idle: they had a
 * request, and are between two messages. Without Node's list, they are found by that call.
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

// It tells only by destroying them: for the time of the call, `destroy` is set aside.
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
 * Lends a server that has no list of its own, as it does not listen, one for the connection that it
 * is about to take in: so that `idleAmong` knows that connection too. Node looks at no list but the
 * server's own, so nothing else changes. To be followed by `untrackIdle`. Read in 18.7 to 26:
 * lib/_http_server.js (`connectionListenerInternal`).
 */
function trackIdle(server) {
  const methods = [server.closeIdleConnections, server.updateSettings];
  const mayBeHttp1 = methods.some((method) => typeof method === 'function');
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

/**
 * Connections that came elsewhere: when, by `now()`, and what was read of them by their coming
 * here.
 */
const came = new WeakMap();

/**
 * Dates a connection on which nothing was read yet back to `at`, by `now()`: Node ends one that
 * waits for `headersTimeout` or `requestTimeout`. lib/_http_server.js (`checkConnections`),
 * src/node_http_parser.cc (`ConnectionsList::Expired`). Without Node's list its time begins again.
 */
function dateBack(stream, at) {
  const connections = connectionsOf(stream.server);
  if (!connections?.expired || !connections.active) return;
  came.set(stream, { at, read: stream.bytesRead });
  if (!Object.hasOwn(connections, 'expired')) connections.expired = expired;
}

// In front of Node's own `expired` of a list.
function expired(headersTimeout, requestTimeout) {
  const found = Object.getPrototypeOf(this).expired.call(this, headersTimeout, requestTimeout);
  const limit = Math.min(...[headersTimeout, requestTimeout].filter((timeout) => timeout > 0));
  for (const parser of this.active()) {
    const { at, read } = came.get(parser.socket) ?? {};
    if (at === undefined || read !== parser.socket.bytesRead || now() - at <= limit) continue;
    came.delete(parser.socket);
    found.push(parser);
  }
  return found;
}

module.exports = { dateBack, idleAmong, trackIdle, untrackIdle };
