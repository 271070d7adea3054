'use strict';

const path = require('node:path');

/** What stands before the name of a socket that the service manager passed, as in `src/config`. */
const INHERITED = 'systemd:';

const isInherited = (port) => typeof port === 'string' && port.startsWith(INHERITED);

/** The absolute path of a unix socket; the name of an inherited one stays as it is. */
const socketPath = (port) => (isInherited(port) ? port : path.resolve(port));

module.exports = { isInherited, socketPath };
