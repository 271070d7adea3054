'use strict';

const net = require('node:net');
const { once } = require('node:events');

/** Returns an unused port: no state of earlier connections comes into the next measurement. */
async function freePort() {
  const server = net.createServer().listen(0, '0.0.0.0');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

module.exports = { freePort };
