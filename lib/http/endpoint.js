'use strict';

// Where a server listens, or is to listen.

const path = require('node:path');
const { isSecure } = require('./server-kind');

/** What stands before the name of a socket that the service manager passed, as in `src/config`. */
const INHERITED = 'systemd:';
/** How long names are in the kernel, bytes. */
const LONGEST = 108;

const isInherited = (port) => typeof port === 'string' && port.startsWith(INHERITED);

/** Whether it is a socket without a file, known by a name. */
const isAbstract = (port) => typeof port === 'string' && port.startsWith('\0');

/** The absolute path of a unix socket; the name of an inherited or an abstract one stays as it is. */
const socketPath = (port) => (isInherited(port) || isAbstract(port) ? port : path.resolve(port));

/**
 * The name that Node gives an abstract socket, by which its own clients find it. Before version 20 it knew none, and took all for
 * the empty one; 20 fills names up. Read off /proc/net/unix with 18.7 to 26.
 */
function abstractName(name, version = process.versions.node) {
  const major = Number.parseInt(version);
  if (major < 20) return '\0'.repeat(LONGEST);
  return major < 22 ? name.padEnd(LONGEST, '\0') : name;
}

/** The path by which the kernel knows a unix socket. */
const kernelPath = (port) => (isAbstract(port) ? abstractName(port) : socketPath(port));

/** Where a listening server is reached (`Place` of `src/binding/health.rs`). */
function endpointOf(server) {
  const address = server.address();
  const secure = isSecure(server);
  if (typeof address === 'string') return { path: isAbstract(address) ? kernelPath(address) : address, secure };
  return { address: address.address, port: address.port, secure };
}

module.exports = { endpointOf, isAbstract, isInherited, kernelPath, socketPath };
