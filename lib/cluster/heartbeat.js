'use strict';

/**
 * Emits `heartbeat` at the interval of the options, if it has a listener, without keeping the
 * process alive.
 */
function beat(cluster, config, stats) {
  return setInterval(async () => {
    if (cluster.listenerCount('heartbeat') === 0) return;
    // A cluster that is just ending has nothing to tell.
    const current = await Promise.resolve(stats()).catch(() => undefined);
    if (current && current.running !== false) cluster.emit('heartbeat', current);
  }, config.heartbeatInterval).unref();
}

module.exports = { beat };
