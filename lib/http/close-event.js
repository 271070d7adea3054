'use strict';

// The event `close` of the servers of a process that leaves. What always holds: a server emits
// `close` where Node does, after its last connection, once its script has closed it, or we have at
// the very end. A server of an app that was passed to `Cluster#listen` emits it at the start too,
// as the manual says, but only while it listens; listeners that were called then are not called
// again when that server closes.

const net = require('node:net');
const { onHandleClose } = require('../node-internals');

class CloseEvent {
  #early = new Set();

  /** These servers emit `close` at the start of a drain too. */
  tellEarly(servers) {
    servers.forEach((server) => this.#early.add(server));
  }

  /** A drain has begun. */
  start() {
    const listening = [...this.#early].filter((server) => server.listening);
    this.#early.clear();
    for (const server of listening) {
      const listeners = server.rawListeners('close');
      onHandleClose(server, () => remove(server, listeners));
      server.emit('close');
    }
  }

  /** Nothing is left to do: closes the servers that still listen. */
  finish(servers) {
    // Of Node's class: an instance's own `close` may do more, and closing connections is not wanted
    // here.
    for (const server of servers) if (server.listening) net.Server.prototype.close.call(server);
  }
}

// By hand: `removeListener` takes the last one of several that are the same, which may be the
// callback of `close()`.
function remove(server, listeners) {
  const others = server.rawListeners('close');
  for (const listener of listeners) {
    const at = others.indexOf(listener);
    if (at >= 0) others.splice(at, 1);
  }
  server.removeAllListeners('close');
  others.forEach((listener) => server.on('close', listener));
}

module.exports = { CloseEvent };
