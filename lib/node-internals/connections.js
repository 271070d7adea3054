'use strict';

// What Node keeps of a connection and does not show. Read in Node 18.7 to 26.

const http = require('node:http');
const net = require('node:net');

/**
 * Whether servers show their connections: lib/_http_server.js. Bun's HTTP servers are not of
 * `net.Server`, whose events we observe.
 */
function showsConnections() {
  return http.Server.prototype instanceof net.Server;
}

/** The connection below a TLS connection: lib/_tls_wrap.js, lib/net.js. */
function carrierOf(stream) {
  return stream._parent ?? undefined;
}

/**
 * The streams below an HTTP/2 session. Node wraps a stream that is not a socket of its own:
 * lib/internal/js_stream_socket.js (`JSStreamSocket`, `stream`).
 */
function streamsOf({ socket }) {
  return [socket, socket.stream];
}

/**
 * The HTTP server to which a connection belongs: lib/_http_server.js
 * (`connectionListenerInternal`).
 */
function serverOf(stream) {
  return stream.server;
}

/** Whether the script sent it to another process: lib/internal/child_process.js. */
function wasSent(stream) {
  return stream._handle === null && !stream.destroyed;
}

/** Whether the script sent connections of this server to other processes: lib/net.js. */
function hasSent(server) {
  return server._usingWorkers === true;
}

/** How many connections of a server are in this process: lib/net.js (`getConnections`). */
function connectionsHere(server) {
  return server._connections;
}

module.exports = {
  carrierOf, connectionsHere, hasSent, serverOf, showsConnections, streamsOf, wasSent,
};
