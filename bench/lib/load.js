'use strict';
// A load, and what it costs the processes of the peer. Their processor time a request says more than the rate where the
// load generator shares the cores: what it takes for itself is not in it.

const wrk = require('./wrk');
const { usage, used } = require('./proc');
const { livingPids } = require('./processes');

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

// The warm-up is the same load: V8 has compiled the hot paths before the clock counts.
async function warmedLoad(peer, seconds, options, onProblem) {
  await wrkLoad(peer, WARM_UP_SECONDS, options, (problem) => onProblem(`warm-up: ${problem}`));
  return wrkLoad(peer, seconds, options, onProblem);
}

module.exports = { WARM_UP_SECONDS, wrkLoad, warmedLoad };
