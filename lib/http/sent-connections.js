'use strict';

// Connections that a script has sent to other processes (`child.send('socket', socket)`), which tell of no end here. What
// always holds: they are not counted here any more, soon after the script begins to send; and whoever waits for the last
// connection waits for them too, as `server.close()` does, since those processes may live no longer than this one.

const { tellEnd } = require('./stream-end');
const { hasSent, wasSent } = require('../node-internals');

/** How often those that were sent are looked for, milliseconds. */
const INTERVAL = 1000;

class SentConnections {
  #traffic;
  #timer;

  /** @param {Traffic} traffic the connections */
  constructor(traffic) {
    this.#traffic = traffic;
  }

  /** A server has got a connection. */
  look(server) {
    if (this.#timer === undefined && hasSent(server)) this.#later();
  }

  #later() {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.forget();
      if (this.#traffic.size > 0) this.#later();
    }, INTERVAL).unref();
  }

  /** From now on those that were sent are not open here. */
  forget() {
    for (const socket of this.#traffic.sockets) if (wasSent(socket)) tellEnd(socket);
  }

  /**
   * Asks other processes for the connections that they were sent. A process that is gone has none.
   * @param {(server: net.Server, isOpen: boolean) => void} told called later for each server that has sent some
   * @returns {net.Server[]} those servers
   */
  ask(told) {
    const servers = [...this.#traffic.servers].filter(hasSent);
    for (const server of servers) {
      const here = server._connections;
      server.getConnections((error, count) => told(server, !error && count > here));
    }
    return servers;
  }
}

module.exports = { SentConnections };
