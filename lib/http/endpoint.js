'use strict';

// The addresses on which servers listen.

const path = require('node:path');
const { INHERITED } = require('../native');
const { abstractName } = require('../node-internals');
const { isSecure } = require('./server-kind');

/** Whether it is a socket that the service manager passed, known by its name. */
const isInherited = (port) => typeof port === 'string' && port.startsWith(INHERITED);

/** Whether it is a socket without a file, known by a name. */
const isAbstract = (port) => typeof port === 'string' && port.startsWith('\0');

/**
 * The absolute path of a unix socket; the name of an inherited or an abstract one stays as it is.
 */
const socketPath = (port) => (isInherited(port) || isAbstract(port) ? port : path.resolve(port));

/** The path by which the kernel knows a unix socket. */
const kernelPath = (port) => (isAbstract(port) ? abstractName(port) : socketPath(port));

/** Where a listening server is reached (`Endpoint` of `src/protocol/endpoint.rs`). */
function endpointOf(server) {
  const address = server.address();
  const secure = isSecure(server);
  if (typeof address === 'string') {
    return { path: isAbstract(address) ? kernelPath(address) : address, secure };
  }
  return { address: address.address, port: address.port, secure };
}

module.exports = { endpointOf, isAbstract, isInherited, kernelPath, socketPath };
