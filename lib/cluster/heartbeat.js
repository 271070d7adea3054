'use strict';

/**
 * Emits `heartbeat` at the interval of the options while it has a listener: an idle process wakes
 * for nothing else. Does not keep the process alive.
 * @param {() => object | Promise<object>} stats what the event tells
 * @returns {() => void} ends it
 */
function beat(cluster, { heartbeatInterval }, stats) {
  let timer;
  const end = () => (clearInterval(timer), (timer = undefined));
  const emit = async () => {
    if (cluster.listenerCount('heartbeat') === 0) return end();
    // A cluster that is just ending has nothing to tell.
    const current = await Promise.resolve(stats()).catch(() => undefined);
    if (current && current.running !== false) cluster.emit('heartbeat', current);
  };
  const begin = () => (timer ??= setInterval(emit, heartbeatInterval).unref());
  const onListener = (event) => event === 'heartbeat' && begin();
  cluster.on('newListener', onListener);
  if (cluster.listenerCount('heartbeat') > 0) begin();
  return () => (cluster.off('newListener', onListener), end());
}

module.exports = { beat };
