'use strict';
// Requests that block their worker for a while, among others that are short: what those notice.

const { setTimeout: pause } = require('node:timers/promises');
const { Clients } = require('../lib/clients');
const { SERVERS, CLUSTERS } = require('../lib/peer');
const { WARM_UP_SECONDS, warmUp } = require('../lib/load');
const { CLOSE } = require('../lib/wrk');

const CLIENTS = 16;
const BLOCKING = { every: 50, ms: 100 };
// 100 requests a second: a worker is stuck in a fifth of the time, two of them at once hardly ever.
const EVERY_MS = 160;
const OVERHEAD_SECONDS = 1;
// Blocking requests are few: in less time than this, the percentiles would be luck.
const MIXED_TIMES = 2;

const mixedSeconds = (options) => MIXED_TIMES * options.seconds;

async function mixedLoad(peer, options, everyMs, onProblem) {
  // At this rate V8 would compile during all of the measurement.
  await warmUp(peer, options, { headers: [CLOSE] }, onProblem);
  const clients = new Clients(peer.port, { blocking: BLOCKING, everyMs }).start({ oneShot: CLIENTS });
  try {
    await pause(WARM_UP_SECONDS * 1000);
    clients.reset();
    await pause(mixedSeconds(options) * 1000); // the time that is measured
  } finally {
    await clients.stop();
  }
  const { lost, refused } = clients.counts;
  if (lost + refused > 0) onProblem(`${lost} lost, ${refused} refused`);
  return clients.latencies.summary();
}

async function mixed(peer, options, onProblem) {
  const { p50, p90, p99, max } = await mixedLoad(peer, options, EVERY_MS, onProblem);
  return { mixedP50: p50, mixedP90: p90, mixedP99: p99, mixedMax: max };
}

// Each client asks again at once: then all workers are stuck most of the time, and what counts is
// how the queue is shared.
async function mixedFull(peer, options, onProblem) {
  const { p50, p90, p99, max } = await mixedLoad(peer, options, 0, onProblem);
  return { fullP50: p50, fullP90: p90, fullP99: p99, fullMax: max };
}

const latency = (label) => ({ label: `${label}, ms`, digits: 1, better: 'less', ratio: true });

const MIX = `1 in ${BLOCKING.every} blocks its worker for ${BLOCKING.ms} ms: latency of the others`;
const seconds = (options) =>
  options.warmUpSeconds + WARM_UP_SECONDS + mixedSeconds(options) + OVERHEAD_SECONDS;

module.exports = {
  mixed: {
    title: `${(CLIENTS * 1000) / EVERY_MS} requests a second, one a connection, ${MIX}`,
    peers: SERVERS,
    seconds,
    run: mixed,
    metrics: {
      mixedP50: latency('p50'),
      mixedP90: latency('p90'),
      mixedP99: { ...latency('p99'), plot: 'Beside requests that block: latency' },
      mixedMax: latency('max'),
    },
  },
  'mixed-full': {
    title: `${CLIENTS} clients without a pause, one request a connection, ${MIX}`,
    peers: CLUSTERS,
    fewer: true,
    seconds,
    run: mixedFull,
    metrics: { fullP50: latency('p50'), fullP90: latency('p90'), fullP99: latency('p99'), fullMax: latency('max') },
  },
};
