'use strict';
// How evenly connections that stay are spread over the workers.

const { setTimeout: pause } = require('node:timers/promises');
const { withConnections } = require('../lib/client');
const { CLUSTERS } = require('../lib/peer');
const { until } = require('../lib/poll');
const { openConnections } = require('../lib/proc');

const CONNECTIONS = 64;
const WORKERS = [2, 8, 16];
const CLOSE_DEADLINE_MS = 5000;
/** Who counts connections learns of an end a moment after the kernel. */
const CALM_MS = 100;

// Returns the connections of the busiest worker ÷ those of the emptiest: ∞ where it has none.
async function spread(peer, how) {
  const held = (byWorker) => [...byWorker.values()].map((connections) => connections.length);
  const counts = await withConnections(peer.port, CONNECTIONS, held, how);
  while (counts.length < peer.processes) counts.push(0);
  await until('connections closed', CLOSE_DEADLINE_MS, () => openConnections(peer.port) === 0);
  await pause(CALM_MS);
  return Math.max(...counts) / Math.min(...counts);
}

const ratio = (label) => ({ label, digits: 2, better: 'less', ratio: true });

// `fairness` with two workers, which the bench has unless said otherwise, and `fairness-N`.
function scenario(workers) {
  const isUsual = workers === 2;
  const metric = isUsual ? 'fairness' : `fairness${workers}`;
  return [isUsual ? 'fairness' : `fairness-${workers}`, {
    title: `${CONNECTIONS} connections that stay, ${workers} workers: busiest ÷ emptiest worker`,
    peers: CLUSTERS,
    workers,
    fewer: !isUsual,
    seconds: () => 1 + workers / 4,
    run: async (peer) => ({
      [metric]: await spread(peer, { atOnce: true }),
      [`${metric}InTurn`]: await spread(peer, { atOnce: false }),
    }),
    metrics: {
      [metric]: ratio('opened at once'),
      [`${metric}InTurn`]: ratio('opened one by one'),
    },
  }];
}

module.exports = Object.fromEntries(WORKERS.map(scenario));
