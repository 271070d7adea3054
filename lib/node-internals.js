'use strict';

// What Node knows of an HTTP/1 connection and documents nowhere. Each function says in which versions it was read, and what
// happens where a later Node has it no more. What always holds: nothing here leaves a trace on an object of the app.

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
    server.closeIdleConnections();
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

module.exports = { idleAmong, speaksHttp1 };
