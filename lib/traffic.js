'use strict';

// Watches the connections and requests of servers, for the counters and for the drain. What always holds: `sockets` are the
// open connections of all watched servers, `streams` those that speak HTTP/1, through TLS where there is TLS, and `responses`
// are those not finished yet.

const http = require('node:http');
const https = require('node:https');

const isHttp1 = (server) => server instanceof http.Server || server instanceof https.Server;
const isHttp2 = (server) => typeof server.updateSettings === 'function';

class Traffic {
  sockets = new Set();
  streams = new Map();
  responses = new Set();
  sessions = new Set();
  servers = new Set();
  #counters;
  #onResponse = undefined;
  #onClose = () => {};

  /** @param {Counters} counters where open connections and requests are counted */
  constructor(counters) {
    this.#counters = counters;
  }

  /** Watches a server from now on; a second call does nothing. */
  watch(server) {
    if (this.servers.has(server)) return;
    this.servers.add(server);
    server.prependListener('connection', (socket) => this.#connection(socket));
    if (isHttp1(server)) {
      const ready = server instanceof https.Server ? 'secureConnection' : 'connection';
      server.prependListener(ready, (stream) => this.#stream(stream));
    }
    if (isHttp1(server) || isHttp2(server)) {
      server.prependListener('request', (_request, response) => this.#request(response));
    }
    if (isHttp2(server)) {
      server.on('session', (session) => {
        this.sessions.add(session);
        session.once('close', () => this.sessions.delete(session));
      });
    }
  }

  /** From now on: `onResponse(response)` for each new response, `onClose()` after each closed connection. */
  follow({ onResponse, onClose }) {
    this.#onResponse = onResponse;
    this.#onClose = onClose;
  }

  #stream(stream) {
    if (this.streams.has(stream)) return;
    this.streams.set(stream, stream.bytesRead);
    stream.once('close', () => this.streams.delete(stream));
  }

  #connection(socket) {
    // A connection that a second port's server passes on is seen twice.
    if (this.sockets.has(socket)) return;
    this.sockets.add(socket);
    socket.once('close', () => {
      this.sockets.delete(socket);
      this.#counters.connectionsActive -= 1;
      this.#onClose();
    });
  }

  #request(response) {
    this.responses.add(response);
    this.#counters.requestsTotal += 1;
    this.#counters.requestsActive = this.responses.size;
    this.#onResponse?.(response);
    response.once('close', () => {
      this.responses.delete(response);
      this.#counters.requestsActive = this.responses.size;
    });
  }

  /**
   * The HTTP/1 connections that are between two messages. Node knows: `closeIdleConnections` destroys exactly these, so
   * their `destroy` is set aside for the time of that call. Only a connection on which nothing was read yet counts as active
   * for Node.
   */
  idleStreams() {
    const idle = new Set();
    for (const stream of this.streams.keys()) stream.destroy = () => idle.add(stream);
    try {
      for (const server of this.servers) if (isHttp1(server)) server.closeIdleConnections();
    } finally {
      for (const stream of this.streams.keys()) delete stream.destroy;
    }
    for (const [stream, fresh] of this.streams) if (stream.bytesRead === fresh) idle.add(stream);
    return idle;
  }
}

module.exports = { Traffic, isHttp1, isHttp2 };
