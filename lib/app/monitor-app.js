'use strict';

// The user's own monitor app. The monitor's native thread owns the port; each request for the app
// comes as a descriptor.

const net = require('node:net');
const { toServer } = require('./adapt');

class MonitorApp {
  #server;

  /** @throws {TypeError} `CLUSTER2_ERR_APP_INVALID` */
  constructor(app) {
    this.#server = toServer(app, 'the monitor app');
  }

  /** Takes one request. @param {number} fd the connection, now ours */
  take(fd) {
    const socket = new net.Socket({ fd, readable: true, writable: true });
    // A visitor may go away early.
    socket.on('error', () => {});
    this.#server.emit('connection', socket);
  }
}

module.exports = { MonitorApp };
