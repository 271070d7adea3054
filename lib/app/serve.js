'use strict';

// Makes an app listen on its ports. In a worker the listen hook turns this into sharing; here it is
// plain Node.

const net = require('node:net');
const { once } = require('node:events');
const { socketPath } = require('../http/endpoint');
const { native } = require('../errors');
const addon = require('../native');
const { changeOwner } = require('../node-internals');
const { PASSES_ON } = require('../symbols');

function listenOn(server, host, port) {
  if (typeof port === 'number') server.listen({ port, host });
  else server.listen({ path: socketPath(port) });
  return once(server, 'listening');
}

// A server listens once; on its further ports a plain server does, which passes its connections on.
function companion(server) {
  const { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, keepAliveInitialDelay } = server;
  const options = { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, keepAliveInitialDelay };
  const passing = net.createServer(options, (socket) => server.emit('connection', socket));
  passing[PASSES_ON] = server;
  return passing;
}

function closeAll(servers) {
  servers.forEach((server) => server.close());
  return [];
}

/**
 * Listens, unless the app is not wanted any more meanwhile.
 * @param {ReturnType<adapt>} apps from `adapt`
 * @param {string} host IP address for TCP ports
 * @param {() => boolean} [isWanted] asked before each of them listens, and after the last one does
 * @returns {Promise<net.Server[]>} all servers, when all listen; if one cannot, or is not wanted,
 *   none does
 */
async function serve(apps, host, isWanted = () => true) {
  const servers = [];
  try {
    for (const { server, ports, ready } of apps) {
      await ready?.();
      for (const [index, port] of ports.entries()) {
        if (!isWanted()) break;
        const listening = index === 0 ? server : companion(server);
        await listenOn(listening, host, port);
        if (listening !== server) changeOwner(listening, server);
        servers.push(listening);
      }
    }
  } catch (error) {
    closeAll(servers);
    throw error;
  }
  return isWanted() ? servers : closeAll(servers);
}

/**
 * The address behind the `host` option, the same one in master and workers. Without the addon a
 * promise of it.
 */
function resolveHost(host) {
  return native(() => addon.resolveHost(host));
}

module.exports = { resolveHost, serve };
