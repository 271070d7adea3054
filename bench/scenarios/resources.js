'use strict';
// What a cluster takes of the machine: its start, its memory, what it does while nobody asks.

const { setTimeout: pause } = require('node:timers/promises');
const proc = require('../lib/proc');
const { until } = require('../lib/poll');
const { withConnections } = require('../lib/client');
const { median } = require('../lib/numbers');
const { PEERS, SERVERS, CLUSTERS, SUPERVISORS } = require('../lib/peer');
const { livingPids } = require('../lib/processes');

const MANY = 16;
const MEMORY = { connectionsOfEach: 8, requestsOfEach: 500 };
const SETTLE_DEADLINE_MS = 15_000;
/** In tenths of a second. What only the start of a master needed is given back within a second. */
const SETTLE_SAMPLES = 25;
/** So many times as long as it is measured, a cluster is left alone before. */
const CALM = 3;

const less = (label, digits) => ({ label, digits, better: 'less', ratio: true });
/** Those with one process that holds the others, or all of its threads. */
const MASTERS = [...SUPERVISORS, 'watt'];

// Processes have settled when the memory of all of them stays within 1 % for a while.
async function settled(pids) {
  const last = [];
  return until('memory settles', SETTLE_DEADLINE_MS, () => {
    last.push(pids.map(proc.memory));
    if (last.length > SETTLE_SAMPLES) last.shift();
    const sums = last.map((look) => look.reduce((sum, { rss }) => sum + rss, 0));
    const still = last.length === SETTLE_SAMPLES && Math.max(...sums) <= Math.min(...sums) * 1.01;
    return still ? last.at(-1) : null;
  }, 100);
}

// Every worker answers equally many requests, and so does the one process beside which it is held.
function exercise(peer) {
  return withConnections(peer.port, MEMORY.connectionsOfEach * peer.processes, async (byWorker) => {
    for (const [connection] of byWorker.values()) {
      for (let i = 0; i < MEMORY.requestsOfEach; i++) await connection.ask('/');
    }
    return [...byWorker.keys()];
  });
}

async function memory(peer) {
  const workers = peer.processes > 0 ? await exercise(peer) : [];
  const { threads } = PEERS[peer.name];
  const [master, ...others] = await settled([peer.pid, ...(threads ? [] : workers)]);
  const isMaster = !threads && !workers.includes(peer.pid);
  return {
    ...(isMaster && { rss: master.rss, pss: master.pss }),
    ...(others.length > 0 && { serverRss: median(others.map(({ rss }) => rss)) }),
    totalPss: livingPids().reduce((sum, pid) => sum + proc.memory(pid).pss, 0),
  };
}

async function idle(peer, { idleSeconds }) {
  const pids = livingPids();
  await settled(pids);
  // V8 goes on collecting what the start left behind.
  await pause(CALM * idleSeconds * 1000);
  const begin = performance.now();
  const [all, master] = [proc.usage(pids), proc.usage([peer.pid])];
  await pause(idleSeconds * 1000); // the time that is measured
  const seconds = (performance.now() - begin) / 1000;
  const ofMaster = proc.used(master, proc.usage([peer.pid]));
  const idleCpu = (proc.used(all, proc.usage(pids)).cpu / seconds) * 100;
  if (PEERS[peer.name].threads) return { idleCpu };
  return {
    idleCpu,
    idleMasterCpu: (ofMaster.cpu / seconds) * 100,
    idleSwitches: ofMaster.switches / seconds,
  };
}

module.exports = {
  start: {
    title: 'from nothing to a cluster that serves',
    peers: SERVERS,
    seconds: () => 1,
    run: ({ startMs }) => ({ start: startMs }),
    metrics: { start: less('spawn until all workers have answered, ms', 0) },
  },
  'start-16': {
    title: `start of ${MANY} workers`,
    peers: CLUSTERS,
    workers: MANY,
    fewer: true,
    seconds: () => 3,
    run: ({ startMs }) => ({ startMany: startMs }),
    metrics: {
      startMany: {
        ...less('spawn until all workers have answered, ms', 0),
        plot: `Start of ${MANY} workers`,
      },
    },
  },
  memory: {
    title: `memory after ${MEMORY.requestsOfEach} requests to each worker`,
    peers: [...MASTERS, 'single', 'bare'],
    seconds: () => 2,
    run: memory,
    metrics: {
      rss: less('master, RSS, MB', 1),
      pss: less('master, PSS, MB', 1),
      serverRss: { ...less('one worker, or the one process, RSS, MB', 1), plot: 'Memory of one worker' },
      totalPss: less('all processes, PSS, MB', 1),
    },
  },
  idle: {
    title: `${MANY} workers that nobody asks`,
    peers: [...MASTERS, 'bare'],
    workers: MANY,
    fewer: true,
    seconds: ({ idleSeconds }) => (CALM + 1) * idleSeconds + 2,
    run: idle,
    metrics: {
      idleCpu: less('processor, all processes, %', 2),
      idleMasterCpu: less('processor, master, %', 2),
      idleSwitches: less('voluntary context switches of the master, 1/s', 1),
    },
  },
};
