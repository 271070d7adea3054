'use strict';

// The protocol of a server.

const { PASSES_ON } = require('../symbols');

const isFunction = (value) => typeof value === 'function';

// By their methods: to load `node:https` and `node:http2` for their classes costs each worker a
// megabyte.
/** Whether a server speaks TLS. */
const isSecure = (server) => isFunction(server.setSecureContext);
/** Whether it is one of `node:http2`. */
const isHttp2 = (server) => isFunction(server.updateSettings);
/** Whether it is one of `node:http` or `node:https`. */
const isHttp1 = (server) => isFunction(server.closeIdleConnections) && !isHttp2(server);
/** Whether it, or the one to which it passes its connections on, is one of `node:http`. */
const isPlainHttp1 = (listening) => {
  const server = listening[PASSES_ON] ?? listening;
  return isHttp1(server) && !isSecure(server);
};

module.exports = { isHttp1, isHttp2, isPlainHttp1, isSecure };
