'use strict';

const path = require('node:path');

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

module.exports = { isAbstract, isInherited, kernelPath, socketPath };
