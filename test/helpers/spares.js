'use strict';

// Workers and spares of a cluster with the option `spares`.

const { until } = require('./wait');

/** Returns the pids of the workers in that state. */
async function inState(script, state) {
  const { workers = [] } = await script.status();
  return workers.filter((worker) => worker.state === state).map(({ pid }) => pid);
}

/**
 * Waits until so many workers are ready and so many spares wait.
 * @returns {Promise<{ ready: number[], spares: number[] }>} their pids
 */
async function settled(script, { workers = 2, spares = 1 } = {}) {
  const what = `${workers} workers are ready and ${spares} spares wait`;
  return script.until(what, async () => {
    const all = { ready: await inState(script, 'ready'), spares: await inState(script, 'spare') };
    return all.ready.length === workers && all.spares.length === spares && all;
  });
}

/** Waits until that process serves. */
const serves = (script, pid) =>
  until(`worker ${pid} serves`, async () => (await inState(script, 'ready')).includes(pid));

module.exports = { inState, serves, settled };
