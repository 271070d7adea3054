'use strict';

// The listening sockets of a process without workers, which are Node's own. What always holds:
// clients in a queue when it stops admitting are accepted, in the order of `src/os/listener.rs`
// (new ones are refused, the queues are emptied, the sockets are closed); and to its script a
// server goes on as if it listened. Without the addon nothing refuses new ones, and the queues are
// emptied as far as Node shows it.

const fs = require('node:fs');
const { setImmediate: turn, setTimeout: sleep } = require('node:timers/promises');
const { native } = require('../errors');
const { closeListeningSocket, descriptorOf } = require('../node-internals');

/** For handshakes under way, as `CLOSING_GRACE` of `src/listeners/closing.rs`, milliseconds. */
const GRACE = 100;

class ListenerSet {
  /** The servers that listen. */
  servers = [];
  #queues;
  #warn;

  /**
   * @param {() => NativeSingle} queues what refuses clients and sees those that wait
   * @param {(message: string) => void} warn called if clients may be reset, with the reason
   */
  constructor(queues, warn) {
    this.#queues = queues;
    this.#warn = warn;
  }

  /**
   * Refuses new clients before it returns. Resolves when all that waited are accepted and the
   * sockets are closed.
   */
  async shut() {
    const refusing = this.servers.filter((server) => this.#refuseNew(server));
    if (refusing.length > 0) await sleep(GRACE);
    while (this.#hasWaiting()) await turn();
    this.close();
  }

  /** Returns whether handshakes may be under way that still count: on TCP. */
  #refuseNew(server) {
    // A server that its script has closed still names its unix socket, which may be another one's.
    if (!server.listening) return false;
    const address = server.address();
    try {
      if (typeof address === 'object') return this.#refuseOnTcp(server);
      // Node would remove it when it closes the socket. An abstract one, and a pipe of Windows, has
      // no file.
      if (!/^(\0|\\\\)/.test(address)) fs.rmSync(address, { force: true });
    } catch (error) {
      this.#warn(`cannot refuse new connections before closing: ${error.message}`);
    }
    return false;
  }

  #refuseOnTcp(server) {
    const fd = descriptorOf(server);
    return fd !== undefined && native(() => this.#queues().refuseNew(fd));
  }

  #hasWaiting() {
    const open = this.servers.map(descriptorOf).filter((fd) => fd !== undefined);
    return native(() => this.#queues().hasWaiting(open));
  }

  /**
   * Closes the sockets at once. Not by http.Server's own `close`, which ends idle connections in
   * the middle of a request.
   */
  close() {
    this.servers.forEach(closeListeningSocket);
    this.servers = [];
  }
}

module.exports = { ListenerSet };
