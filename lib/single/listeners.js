'use strict';

// The listening sockets of a process without workers, which are Node's own. What always holds:
// clients in a queue when it stops admitting are accepted, in the order of `src/os/listener.rs`
// (new ones are refused, the queues are emptied, the sockets are closed); and to its script a
// server goes on as if it listened.

const fs = require('node:fs');
const { setImmediate: turn, setTimeout: sleep } = require('node:timers/promises');
const { native } = require('../errors');
const addon = require('../native');
const { closeListeningSocket, descriptorOf } = require('../node-internals');

/**
 * For handshakes that are under way, as `DOOR_GRACE` of `src/dispatcher/event_loop`, milliseconds.
 */
const GRACE = 100;

class ListenerSet {
  /** The servers that listen. */
  servers = [];
  #warn;

  /** @param {(message: string) => void} warn called if clients may be reset, with the reason */
  constructor(warn) {
    this.#warn = warn;
  }

  /**
   * Refuses new clients before it returns. Resolves when all that waited are accepted and the
   * sockets are closed.
   */
  async shut() {
    const onTcp = this.servers.filter((server) => this.#refuseNew(server));
    if (onTcp.length > 0) await sleep(GRACE);
    while (this.servers.some(hasWaiting)) await turn();
    this.close();
  }

  /** Returns whether handshakes may be under way: on TCP. */
  #refuseNew(server) {
    const fd = descriptorOf(server);
    if (fd === undefined) return false;
    const address = server.address();
    try {
      if (typeof address === 'object') native(() => addon.NativeSingle.refuseNew(fd));
      // Node would remove it when it closes the socket. An abstract one has no file.
      else if (!address.startsWith('\0')) fs.rmSync(address, { force: true });
    } catch (error) {
      this.#warn(`cannot refuse new connections before closing: ${error.message}`);
    }
    return typeof address === 'object';
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

function hasWaiting(server) {
  const fd = descriptorOf(server);
  return fd !== undefined && native(() => addon.NativeSingle.hasWaiting(fd));
}

module.exports = { ListenerSet };
