'use strict';

// The idle socket time-out: a connection on which nothing moves for so long is ended and counted.

const { isHttp1, isHttp2 } = require('./traffic');

/**
 * Applies the `timeout` option to a server. A time-out that the user's own code set on the server or a socket stays.
 * @param {net.Server} server
 * @param {number} limit milliseconds; 0 turns it off
 * @param {Counters} counters where it is counted
 */
function applyTimeout(server, limit, counters) {
  if (limit === 0) return;
  if (isHttp1(server) || isHttp2(server)) {
    if (server.timeout > 0 || server.listenerCount('timeout') > 0) return;
    server.setTimeout(limit);
    server.on('timeout', (socketOrSession) => {
      if (server.listenerCount('timeout') > 1) return;
      counters.connectionsTimedOut += 1;
      socketOrSession.destroy();
    });
    return;
  }
  server.prependListener('connection', (socket) => {
    socket.setTimeout(limit);
    socket.on('timeout', () => {
      if (socket.timeout !== limit) return;
      counters.connectionsTimedOut += 1;
      socket.destroySoon();
    });
  });
}

module.exports = { applyTimeout };
