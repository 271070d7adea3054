'use strict';
// What is measured. A scenario gets a running peer and gives back its numbers by metric.

const { setTimeout: pause } = require('node:timers/promises');
const proc = require('./proc');
const wrk = require('./wrk');
const { until } = require('./poll');
const { connectionsByWorker } = require('./client');
const { WORKERS } = require('./peer');

const WARM_UP_SECONDS = 1;
const IDLE_SECONDS = 10;
const SETTLE_DEADLINE_MS = 15_000;
const SETTLE_SAMPLES = 8;

// The warm-up is the same load: V8 has compiled the hot paths before the clock counts.
async function load(peer, seconds, headers, onProblem) {
  const warm = await wrk.run(peer.port, WARM_UP_SECONDS, headers);
  const { rate, errors } = await wrk.run(peer.port, seconds, headers);
  for (const error of warm.errors) onProblem(`warm-up: ${error}`);
  for (const error of errors) onProblem(error);
  return rate;
}

async function fairness(peer) {
  const held = await connectionsByWorker(peer.port, wrk.CONNECTIONS);
  const counts = [...held.values()];
  while (counts.length < WORKERS) counts.push(0); // a worker that got none
  const [busiest, least] = [Math.max(...counts), Math.min(...counts)];
  return { fairness: busiest / least, busiest, least };
}

// A process has settled when its memory stays within 1 % for a while.
async function settled(pid) {
  const last = [];
  return until('memory settles', SETTLE_DEADLINE_MS, () => {
    last.push(proc.memory(pid));
    if (last.length > SETTLE_SAMPLES) last.shift();
    const rss = last.map((sample) => sample.rss);
    const still = last.length === SETTLE_SAMPLES && Math.max(...rss) <= Math.min(...rss) * 1.01;
    return still ? last.at(-1) : null;
  }, 100);
}

async function idle(peer) {
  await settled(peer.pid);
  const start = performance.now();
  const cpu = proc.cpuSeconds(peer.pid);
  const switches = proc.switchesByThread(peer.pid);
  await pause(IDLE_SECONDS * 1000); // the time that is measured
  const seconds = (performance.now() - start) / 1000;
  return {
    idleCpu: ((proc.cpuSeconds(peer.pid) - cpu) / seconds) * 100,
    idleSwitches: proc.switchesBetween(switches, proc.switchesByThread(peer.pid)),
  };
}

const SERVING = ['cluster2', 'node-cluster', 'node-cluster-none', 'single'];
const CLUSTERS = ['cluster2', 'node-cluster', 'node-cluster-none'];
const MASTERS = ['cluster2', 'node-cluster', 'bare'];

// `seconds` is about how long one measurement takes, start and stop included.
const SCENARIOS = {
  'one-shot': {
    peers: SERVING,
    seconds: (options) => options.seconds + WARM_UP_SECONDS + 1,
    run: async (peer, { seconds }, onProblem) => ({
      oneShot: await load(peer, seconds, ['Connection: close'], onProblem),
    }),
  },
  'keep-alive': {
    peers: SERVING,
    seconds: (options) => options.seconds + WARM_UP_SECONDS + 1,
    run: async (peer, { seconds }, onProblem) => ({
      keepAlive: await load(peer, seconds, [], onProblem),
    }),
  },
  fairness: { peers: CLUSTERS, seconds: () => 1, run: fairness },
  memory: { peers: MASTERS, seconds: () => 2, run: (peer) => settled(peer.pid) },
  idle: { peers: MASTERS, seconds: () => IDLE_SECONDS + 2, run: idle },
};

const METRICS = {
  oneShot: { label: 'one request a connection, req/s', digits: 0 },
  keepAlive: { label: 'keep-alive, req/s', digits: 0 },
  fairness: { label: `fairness: busiest ÷ other worker, ${wrk.CONNECTIONS} connections`, digits: 3 },
  rss: { label: 'memory of the master: RSS, MB', digits: 1 },
  pss: { label: 'memory of the master: PSS, MB', digits: 1 },
  idleCpu: { label: `idle master: CPU over ${IDLE_SECONDS} s, %`, digits: 2 },
  idleSwitches: { label: `idle master: voluntary context switches in ${IDLE_SECONDS} s`, digits: 0 },
};

module.exports = { SCENARIOS, METRICS };
