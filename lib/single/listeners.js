'use strict';

// The door of a process without workers: the listening sockets, which are Node's own. What always
// holds: who is in a queue when the door is shut is accepted, in the order of `src/os/listener.rs`
// (nobody new gets in, the queues are emptied, the sockets are closed); and to its script a server goes
// on as if it listened.

const fs = require('node:fs');
const { setImmediate: turn, setTimeout: sleep } = require('node:timers/promises');
const { native } = require('../errors');
const addon = require('../native');
const { closeListeningSocket, listeningDescriptor } = require('../node-internals');

/** For handshakes that are under way, as `DOOR_GRACE` of `src/dispatcher/event_loop`, milliseconds. */
const GRACE = 100;

class ListenerSet {
  /** The servers that listen. */
  servers = [];
  #warn;

  /** @param {(message: string) => void} warn told where somebody may be reset, and why */
  constructor(warn) {
    this.#warn = warn;
  }

  /** Lets nobody new in before it returns; resolves when all who waited are accepted and the sockets are closed. */
  async shut() {
    const onTcp = this.servers.filter((server) => this.#refuseNew(server));
    if (onTcp.length > 0) await sleep(GRACE);
    while (this.servers.some(hasWaiting)) await turn();
    this.close();
  }

  /** Returns whether handshakes may be under way: on TCP. */
  #refuseNew(server) {
    const fd = listeningDescriptor(server);
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

  /** Closes the sockets at once. Not by http.Server's own `close`, which ends idle connections in the middle of a request. */
  close() {
    this.servers.forEach(closeListeningSocket);
    this.servers = [];
  }
}

function hasWaiting(server) {
  const fd = listeningDescriptor(server);
  return fd !== undefined && native(() => addon.NativeSingle.hasWaiting(fd));
}

module.exports = { ListenerSet };
