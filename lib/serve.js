'use strict';

// Makes an app listen on its ports. In a worker the listen hook turns this into sharing; here it is plain Node.

const net = require('node:net');
const { once } = require('node:events');
const path = require('node:path');
const { PASSES_ON } = require('./traffic');

function listenOn(server, host, port) {
  if (typeof port === 'number') server.listen({ port, host });
  else server.listen({ path: path.resolve(port) });
  return once(server, 'listening');
}

// A server listens once; connections of its further ports come through a plain server that passes them on.
function companion(server) {
  const { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, keepAliveInitialDelay } = server;
  const options = { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, keepAliveInitialDelay };
  const passing = net.createServer(options, (socket) => server.emit('connection', socket));
  passing[PASSES_ON] = true;
  return passing;
}

/**
 * Listens.
 * @param {Array<{ server: net.Server, ports: Array<number|string> }>} apps from `adapt`
 * @param {string} host IP address for TCP ports
 * @returns {Promise<net.Server[]>} all servers, when all listen
 */
async function serve(apps, host) {
  const servers = [];
  for (const { server, ports } of apps) {
    for (const port of ports) {
      const listening = port === ports[0] ? server : companion(server);
      await listenOn(listening, host, port);
      servers.push(listening);
    }
  }
  return servers;
}

module.exports = { serve };
