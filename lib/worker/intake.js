'use strict';

// Makes Node sockets of the descriptors that the master hands over, through the server's own `onconnection`, so that Node's
// accounting (`maxConnections`, 'drop', `getConnections`, `noDelay`) stays true.

const fs = require('node:fs');
const net = require('node:net');

const SOCKET = 0;
const kinds = new Map();

// Node shows the classes of its handles only on sockets: the first connection of each kind is opened by a socket of its own,
// whose handle is taken over; from then on the class is known.
function openHandle(fd, kind, type = SOCKET) {
  const Known = kinds.get(kind);
  if (Known) {
    const handle = new Known(type);
    const error = handle.open(fd);
    if (error) throw new Error(`open: errno ${-error}`);
    return handle;
  }
  const socket = new net.Socket({ fd, manualStart: true });
  const handle = socket._handle;
  socket._handle = null;
  kinds.set(kind, handle.constructor);
  return handle;
}

/**
 * Gives a connection to the server that listens.
 * @param {number} fd the connection, now ours
 * @param {ListenHandle} listening
 * @returns {boolean} false if it was closed because its client is gone already
 */
function intake(fd, listening) {
  let handle;
  try {
    handle = openHandle(fd, listening.getsockname ? 'tcp' : 'pipe');
  } catch {
    fs.close(fd, () => {});
    return false;
  }
  listening.onconnection(0, handle);
  return true;
}

module.exports = { intake, openHandle };
