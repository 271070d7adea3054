'use strict';

// Connections that a script has sent to other processes (`child.send('socket', socket)`), whose end
// is not seen here. What always holds: soon after the script begins to send they do not count here
// any more; and the end of a drain waits for them too, as `server.close()` does, since those
// processes may live no longer than this one.

const { connectionsHere, hasSent, tellEnd, wasSent } = require('../node-internals');

/** How often sent connections are looked for, milliseconds. */
const INTERVAL = 1000;

class SentConnections {
  #traffic;
  #timer;

  /** @param {Traffic} traffic the connections */
  constructor(traffic) {
    this.#traffic = traffic;
  }

  /** A server got a connection. */
  onConnection(server) {
    if (this.#timer === undefined && hasSent(server)) this.#later();
  }

  #later() {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.forget();
      if (this.#traffic.size > 0) this.#later();
    }, INTERVAL).unref();
  }

  /** Drops the connections that were sent. */
  forget() {
    for (const socket of this.#traffic.sockets) if (wasSent(socket)) tellEnd(socket);
  }

  /**
   * Asks other processes for the connections that they were sent. A process that is gone has none.
   * @param {(server: net.Server, isOpen: boolean) => void} callback called later for each server
   *   that has sent some
   * @returns {net.Server[]} those servers
   */
  ask(callback) {
    const servers = [...this.#traffic.servers].filter(hasSent);
    for (const server of servers) {
      const here = connectionsHere(server);
      server.getConnections((error, count) => callback(server, !error && count > here));
    }
    return servers;
  }
}

module.exports = { SentConnections };
