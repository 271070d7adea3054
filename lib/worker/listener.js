'use strict';

// A server of this worker that listens. It has no socket of its own: the addon accepts its
// connections from a socket that all workers share, or gets them from the master.

const fs = require('node:fs');
const { ListeningHandle, connectionsHere, deliver, openHandle } = require('../node-internals');

class Listener {
  /** Given to the server in place of a socket. */
  handle;

  /**
   * @param {ListenHook} hook
   * @param {net.Server} server
   * @param {{ listener: number, address?: object, path?: string }} bound what the master has bound
   */
  constructor(hook, server, { listener, address, path }) {
    this.server = server;
    /** The master's number of this listener. */
    this.id = listener;
    const where = { address, path };
    const events = { started: () => hook.serve(this), onClose: () => hook.release(this) };
    this.handle = new ListeningHandle(where, events);
  }

  /**
   * The master has bound it again, perhaps elsewhere. The argument is as for the constructor.
   * Returns 0, or an error number of Node.
   */
  move({ listener, address, path }) {
    this.id = listener;
    return this.handle.move({ address, path });
  }

  /** Whether its server has not closed it. */
  get isOpen() {
    return this.handle.isOpen;
  }

  /** Whether its server has connections: as long as it has, Node does not emit `close`. */
  get hasConnections() {
    return connectionsHere(this.server) > 0;
  }

  /** Calls `enter` with `args` in the asynchronous context in which the server listens. */
  enter(enter, ...args) {
    this.handle.enter(enter, ...args);
  }

  /**
   * Gives a connection to the server, or closes it if its client has gone already.
   * @param {number} fd which belongs to the connection from now on
   */
  take(fd) {
    let connection;
    try {
      connection = openHandle(fd, this.handle.kind);
    } catch {
      fs.close(fd, () => {});
      return;
    }
    deliver(this.handle, connection);
  }
}

module.exports = { Listener };
