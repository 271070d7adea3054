'use strict';
// What a change of workers costs those who ask meanwhile, and how long it takes.

const path = require('node:path');
const { setTimeout: pause } = require('node:timers/promises');
const { packageFolder } = require('../lib/package');
const { SUPERVISORS, CLUSTERS, answering } = require('../lib/peer');
const { Clients } = require('../lib/clients');
const { Connection } = require('../lib/connection');
const { WARM_UP_SECONDS } = require('../lib/load');
const { until } = require('../lib/poll');
const { isAlive, signal } = require('../lib/processes');
const { median } = require('../lib/numbers');

const LOAD = { keepAlive: 32, oneShot: 8 };
const RELOADS = 4;
const UPGRADES = 20;
const IDLE = 200;
// Often enough that a wait which grows with each death shows.
const KILLS = 16;
const DEADLINE_MS = 20_000;
const KILL_EVERY_MS = 1000;
/** Since their first request, when one of them is killed without load. */
const SERVED_MS = 2000;
/** A spare takes a few milliseconds. */
const SPARE_LOOK_MS = 1;
/** A worker that dies takes tens of ms. Few clients should have a request on its way meanwhile. */
const CRASH = { keepAlive: 64, everyMs: 250 };
/** Long enough for every peer to replace a worker. */
const AFTER_CRASH_MS = 2000;
/** Requests that take 500 ms each, and how long it takes until all have begun. */
const IN_FLIGHT = 50;
const BEGIN_MS = 150;

async function underLoad(peer, change) {
  const clients = new Clients(peer.port).start(LOAD);
  try {
    await until('load', DEADLINE_MS, () => clients.counts.ok > 1000);
    const { ms, longest } = await change(peer);
    return { ms, longest, ...await clients.stop() };
  } finally {
    await clients.stop();
  }
}

const timed = (times) => ({ ms: median(times), longest: Math.max(...times) });

// The times of reloads. What an old worker does to its clients at its end is part of what it costs
// them.
async function reloads(peer) {
  const times = [];
  let { workers } = peer;
  for (let i = 0; i < RELOADS; i++) {
    const old = workers;
    const begin = performance.now();
    signal(peer.pid, 'SIGHUP');
    workers = await answering(peer, { gone: old });
    await until('the old workers are gone', DEADLINE_MS, () => ![...old].some(isAlive));
    times.push(performance.now() - begin);
  }
  return timed(times);
}

// Another master takes over, and nothing is left of the old one's workers. Connections that are
// idle meanwhile ask once more at the end.
async function upgrades(peer) {
  const idle = Array.from({ length: IDLE }, () => new Connection(peer.port));
  const { Cluster } = require(packageFolder());
  const cluster = new Cluster({ pids: path.join(peer.dir, 'pids') });
  const times = [];
  try {
    await Promise.all(idle.map((connection) => connection.ask('/')));
    for (let i = 0; i < UPGRADES; i++) {
      const begin = performance.now();
      await cluster.upgrade();
      times.push(performance.now() - begin);
      // Each answers in time for the server's keepAliveTimeout.
      const asked = await Promise.allSettled(idle.map((connection) => connection.ask('/')));
      const lost = asked.filter(({ status }) => status === 'rejected').length;
      if (lost > 0) throw new Error(`${lost} of ${IDLE} idle connections were closed`);
    }
  } finally {
    await Promise.all(idle.map((connection) => connection.close()));
  }
  return timed(times);
}

// The times from a SIGKILL until all workers answer again, that is until a new one does: under load
// it may well be the only one that gets new connections.
async function kills(peer, count = KILLS, everyMs = undefined) {
  const times = [];
  const workers = [...peer.workers];
  for (let i = 0; i < count; i++) {
    const before = new Set(workers);
    const begin = performance.now();
    // How many clients a worker has depends on its age: always kill the older one, or luck decides
    // what a kill costs.
    signal(workers.shift(), 'SIGKILL');
    workers.push(...await answering(peer, { gone: before, count: 1, everyMs }));
    times.push(performance.now() - begin);
  }
  peer.workers = new Set(workers);
  return timed(times);
}

// Each worker once: one that dies often within seconds may have to wait for its replacement. Before
// that they have served for a moment, as nearly all have that die.
async function replacement(peer) {
  if (peer.name === 'single') return { replacementMs: peer.startMs };
  await pause(SERVED_MS);
  return { replacementMs: (await kills(peer, peer.workers.size)).ms };
}

// As many spares wait as there should be.
async function sparesWait(peer) {
  const { Cluster } = require(packageFolder());
  const cluster = new Cluster({ pids: path.join(peer.dir, 'pids') });
  await until('all spares wait', DEADLINE_MS, async () => {
    const { workers, master } = await cluster.status();
    return workers.filter(({ state }) => state === 'spare').length === master.spares;
  });
}

async function replacementBySpare(peer) {
  await sparesWait(peer);
  return { spareMs: (await kills(peer, peer.workers.size, SPARE_LOOK_MS)).ms };
}

// As often as the pool can follow: for each second of the app's start it takes a spare.
async function killsInTurn(peer) {
  await sparesWait(peer);
  const times = [];
  for (let i = 0; i < KILLS; i++) {
    const begin = performance.now();
    times.push((await kills(peer, 1, SPARE_LOOK_MS)).ms);
    await pause(KILL_EVERY_MS - (performance.now() - begin));
  }
  const { ms, longest } = timed(times);
  return { inTurnMs: ms, inTurnLongest: longest };
}

// One crash: where nobody replaces a worker, there could not be another.
async function crash({ port }) {
  const { keepAlive, everyMs } = CRASH;
  const clients = new Clients(port, { everyMs }).start({ keepAlive });
  const throwing = new Connection(port);
  try {
    await pause(WARM_UP_SECONDS * 1000);
    clients.reset();
    const survived = await throwing.ask('/throw').then(() => true, () => false);
    if (survived) throw new Error('a request that throws was answered');
    await pause(AFTER_CRASH_MS); // the time that is measured
  } finally {
    await clients.stop();
    await throwing.close();
  }
  const { lost, refused, ended, ok } = clients.counts;
  const { max } = clients.latencies.summary();
  return { crashEnded: ended, crashLost: lost, crashRefused: refused, crashMax: max, crashOk: ok };
}

// All are on their way when one more throws. What is in flight in a worker is what its death costs.
async function crashInFlight({ port }) {
  const connections = Array.from({ length: IN_FLIGHT }, () => new Connection(port));
  const throwing = new Connection(port);
  try {
    await Promise.all(connections.map((connection) => connection.ask('/')));
    const began = performance.now();
    const asked = connections.map((connection) => connection.ask('/later'));
    const answered = Promise.allSettled(asked.map((answer) => answer.then(() => performance.now() - began)));
    await pause(BEGIN_MS);
    const survived = await throwing.ask('/throw').then(() => true, () => false);
    if (survived) throw new Error('a request that throws was answered');
    const times = (await answered).flatMap(({ value }) => value ?? []);
    return {
      inFlightLost: IN_FLIGHT - times.length,
      inFlightOk: times.length,
      inFlightMax: Math.max(...times),
    };
  } finally {
    await Promise.all([...connections, throwing].map((connection) => connection.close()));
  }
}

const count = (label) => ({ label, digits: 0, better: 'less' });
const time = (label) => ({ label: `${label}, ms`, digits: 0, better: 'less', ratio: true });

// The same columns for each kind of change, by metrics of its own.
function counted(prefix, label) {
  const columns = {
    Lost: count('lost'),
    Refused: count('refused'),
    Reconnects: count(`reconnects of ${LOAD.keepAlive} keep-alive clients`),
    Slow: count('over 0.5 s'),
    Ok: { label: 'answered', digits: 0, better: 'more' },
    Ms: time(label),
    Longest: time('the longest of these'),
  };
  return Object.fromEntries(Object.entries(columns).map(([name, metric]) => [prefix + name, metric]));
}

const named = (prefix, { lost, refused, reconnects, slow, ok, ms, longest }) => ({
  [`${prefix}Lost`]: lost,
  [`${prefix}Refused`]: refused,
  [`${prefix}Reconnects`]: reconnects,
  [`${prefix}Slow`]: slow,
  [`${prefix}Ok`]: ok,
  [`${prefix}Ms`]: ms,
  [`${prefix}Longest`]: longest,
});

module.exports = {
  reload: {
    title: `${RELOADS} reloads under load`,
    peers: [...SUPERVISORS, 'pm2-graceful', 'watt'],
    fewer: true,
    seconds: () => 8,
    run: async (peer) => named('reload', await underLoad(peer, reloads)),
    metrics: counted('reload', 'SIGHUP until the old ones are gone'),
  },
  upgrade: {
    title: `${UPGRADES} upgrades under load, beside ${IDLE} idle connections`,
    peers: ['cluster2'],
    fewer: true,
    seconds: () => 45,
    run: async (peer) => named('upgrade', await underLoad(peer, upgrades)),
    metrics: counted('upgrade', 'until the old master has nothing left'),
  },
  kill: {
    title: `SIGKILL of ${KILLS} workers under load`,
    peers: SUPERVISORS,
    seconds: () => 5,
    run: async (peer) => named('kill', await underLoad(peer, kills)),
    metrics: counted('kill', 'SIGKILL until all answer again'),
  },
  crash: {
    title: 'a worker dies of an exception; ' +
      `${CRASH.keepAlive} keep-alive clients, a request in ${CRASH.everyMs} ms each`,
    peers: CLUSTERS,
    fewer: true,
    seconds: () => AFTER_CRASH_MS / 1000 + WARM_UP_SECONDS + 1,
    run: crash,
    metrics: {
      crashEnded: count('idle clients that reconnect'),
      crashLost: count('requests lost'),
      crashRefused: count('connections refused'),
      crashMax: { ...time('longest request'), ratio: false },
      crashOk: { label: 'answered', digits: 0, better: 'more' },
    },
  },
  'crash-in-flight': {
    title: `an exception while ${IN_FLIGHT} other requests of 500 ms each are in flight`,
    peers: ['cluster2-retry', ...CLUSTERS],
    fewer: true,
    seconds: () => 2,
    run: crashInFlight,
    metrics: {
      inFlightLost: count('requests lost'),
      inFlightOk: { label: 'answered', digits: 0, better: 'more' },
      inFlightMax: { ...time('longest request'), ratio: false },
    },
  },
  replacement: {
    title: 'replacement of a killed worker, without load',
    peers: [...SUPERVISORS, 'single'],
    seconds: () => 2 + SERVED_MS / 1000,
    run: replacement,
    metrics: {
      replacementMs: { ...time('SIGKILL until all answer again; of one process: its start'), plot: 'Replacement of a killed worker' },
    },
  },
  'replacement-spare': {
    title: 'replacement of a killed worker by a spare, without load',
    peers: ['cluster2-spares', 'cluster2-spares-slow'],
    fewer: true,
    seconds: () => 6,
    run: replacementBySpare,
    metrics: { spareMs: time('SIGKILL until all answer again') },
  },
  'kills-in-turn': {
    title: `a worker is killed each second, ${KILLS} times; an app that takes 2 s to start`,
    peers: ['cluster2-spares-slow'],
    fewer: true,
    seconds: () => KILLS + 5,
    run: killsInTurn,
    metrics: {
      inTurnMs: time('SIGKILL until all answer again'),
      inTurnLongest: time('the longest of these'),
    },
  },
};
