'use strict';
// A load, and what it costs the processes of the peer. Their processor time a request says more
// than the rate where the load generator shares the cores: what it takes for itself is not in it.

const wrk = require('./wrk');
const { usage, used } = require('./proc');
const { livingPids } = require('./processes');

/** Before clients of our own are measured. See `warmUp` for rates. */
const WARM_UP_SECONDS = 1;

// The processor time, in seconds, that all processes of the peer use while `work` goes on.
async function cpuDuring(work) {
  const pids = livingPids();
  const before = usage(pids);
  const result = await work();
  return { result, cpu: used(before, usage(pids)).cpu };
}

async function wrkLoad(peer, seconds, options, onProblem) {
  const { result, cpu } = await cpuDuring(() => wrk.run(peer.port, seconds, options));
  for (const error of result.errors) onProblem(error);
  return { ...result, cpu, cpuMicros: (cpu / result.requests) * 1e6 };
}

/**
 * Puts the same load on the peer, and does not count it. V8 compiles for about five seconds under
 * load, on threads of its own, and that takes more than what the peers differ by.
 */
async function warmUp(peer, { warmUpSeconds }, load, onProblem) {
  await wrkLoad(peer, warmUpSeconds, load, (problem) => onProblem(`warm-up: ${problem}`));
}

async function warmedLoad(peer, options, load, onProblem) {
  await warmUp(peer, options, load, onProblem);
  return wrkLoad(peer, options.seconds, load, onProblem);
}

module.exports = { WARM_UP_SECONDS, warmUp, warmedLoad, wrkLoad };
