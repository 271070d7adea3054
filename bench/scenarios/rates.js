'use strict';
// How many requests a second, and what one costs.

const { setTimeout: pause } = require('node:timers/promises');
const wrk = require('../lib/wrk');
const { Clients } = require('../lib/clients');
const { warmUp, warmedLoad, wrkLoad } = require('../lib/load');
const { SERVERS, CLUSTERS } = require('../lib/peer');

const MANY = 16;
/**
 * Each of them gets fewer requests, and V8 needs as many as ever: after 6 s of load it still
 * compiled for most of them.
 */
const WARM_UPS_OF_MANY = 5;
const IDLE_CONNECTIONS = 256;
const ASKS_EVERY_MS = 1000;
const PARTS = 2; // of the load, in turn
const BESIDE = { connections: 16, headers: [wrk.CLOSE] };

const OVERHEAD_SECONDS = 1; // start and stop
const seconds = (options) => options.seconds + options.warmUpSeconds + OVERHEAD_SECONDS;

const RATE = { digits: 0, better: 'more', ratio: true };
const COST = { digits: 1, better: 'less', ratio: true };
const cost = (of) => ({ ...COST, label: `processor time of all processes a ${of}, µs` });

async function oneShot(peer, options, onProblem) {
  const { rate, cpuMicros } = await warmedLoad(peer, options, { headers: [wrk.CLOSE] }, onProblem);
  return { oneShot: rate, oneShotCpu: cpuMicros };
}

const longer = (options) => ({ ...options, warmUpSeconds: options.warmUpSeconds * WARM_UPS_OF_MANY });

async function oneShotMany(peer, options, onProblem) {
  const { oneShot: rate, oneShotCpu: cpu } = await oneShot(peer, longer(options), onProblem);
  return { oneShotMany: rate, oneShotManyCpu: cpu };
}

async function keepAlive(peer, options, onProblem) {
  const { rate, cpuMicros } = await warmedLoad(peer, options, {}, onProblem);
  return { keepAlive: rate, keepAliveCpu: cpuMicros };
}

// What counts is how those fare who come and go, beside all those that stay.
async function idleConnections(peer, options, onProblem) {
  const clients = new Clients(peer.port, { everyMs: ASKS_EVERY_MS }).start({ keepAlive: IDLE_CONNECTIONS });
  try {
    // All of them have asked once.
    await pause(ASKS_EVERY_MS);
    await warmUp(peer, options, BESIDE, onProblem);
    clients.reset();
    const { rate, requests, p99, cpu } = await wrkLoad(peer, options.seconds, BESIDE, onProblem);
    const { ok, lost, refused } = clients.counts;
    if (lost + refused > 0) onProblem(`idle connections: ${lost} lost, ${refused} refused`);
    const cpuMicros = (cpu / (requests + ok)) * 1e6;
    return { besideIdle: rate, besideIdleP99: p99, besideIdleCpu: cpuMicros, mostlyIdleP99: clients.latencies.summary().p99 };
  } finally {
    await clients.stop();
  }
}

// Health checks and the app's own answers of the same workers, in turn, so that both see the same
// machine.
async function ecv(peer, options, onProblem) {
  const paths = { hello: '/', ecv: '/ecv' };
  const sums = { hello: { rate: 0, cpuMicros: 0 }, ecv: { rate: 0, cpuMicros: 0 } };
  for (const path of Object.values(paths)) await warmUp(peer, options, { path }, onProblem);
  for (let part = 0; part < PARTS; part++) {
    for (const [name, path] of Object.entries(paths)) {
      const { rate, cpuMicros } = await wrkLoad(peer, Math.ceil(options.seconds / PARTS), { path }, onProblem);
      sums[name].rate += rate / PARTS;
      sums[name].cpuMicros += cpuMicros / PARTS;
    }
  }
  return {
    ecv: sums.ecv.rate,
    hello: sums.hello.rate,
    ecvToHello: sums.ecv.rate / sums.hello.rate,
    ecvCpu: sums.ecv.cpuMicros,
    helloCpu: sums.hello.cpuMicros,
  };
}

module.exports = {
  'one-shot': {
    title: 'one request a connection',
    peers: SERVERS,
    usesWrk: true,
    seconds,
    run: oneShot,
    metrics: {
      oneShot: { ...RATE, label: 'req/s', plot: 'One request a connection: rate' },
      oneShotCpu: { ...cost('request'), plot: 'One request a connection: processor time' },
    },
  },
  'one-shot-16': {
    title: `one request a connection, ${MANY} workers`,
    peers: CLUSTERS,
    workers: MANY,
    fewer: true,
    usesWrk: true,
    seconds: (options) => seconds(longer(options)) + 3,
    run: oneShotMany,
    metrics: {
      oneShotMany: { ...RATE, label: 'req/s' },
      oneShotManyCpu: cost('request'),
    },
  },
  'keep-alive': {
    title: 'request after request on connections that stay',
    peers: SERVERS,
    usesWrk: true,
    seconds,
    run: keepAlive,
    metrics: {
      keepAlive: { ...RATE, label: 'req/s', plot: 'Keep-alive: rate' },
      keepAliveCpu: { ...cost('request'), plot: 'Keep-alive: processor time' },
    },
  },
  'idle-connections': {
    title: `one request a connection beside ${IDLE_CONNECTIONS} mostly idle connections`,
    peers: SERVERS,
    usesWrk: true,
    fewer: true,
    seconds: (options) => seconds(options) + 1,
    run: idleConnections,
    metrics: {
      besideIdle: { ...RATE, label: 'req/s' },
      besideIdleP99: { ...COST, label: 'p99, ms', digits: 2 },
      besideIdleCpu: { ...cost('request'), plot: `Beside ${IDLE_CONNECTIONS} mostly idle connections: processor time` },
      mostlyIdleP99: { ...COST, label: 'p99 of the mostly idle, ms', digits: 2 },
    },
  },
  ecv: {
    title: 'health checks',
    peers: ['cluster2'],
    fewer: true,
    usesWrk: true,
    seconds: ({ seconds, warmUpSeconds }) =>
      2 * (PARTS * Math.ceil(seconds / PARTS) + warmUpSeconds) + OVERHEAD_SECONDS,
    run: ecv,
    metrics: {
      ecv: { ...RATE, label: 'checks/s', ratio: false },
      hello: { ...RATE, label: "the app's own hello, req/s", ratio: false },
      ecvToHello: { label: 'checks ÷ hello', digits: 2, better: 'more' },
      ecvCpu: { ...cost('check'), ratio: false },
      helloCpu: { ...cost('hello'), ratio: false },
    },
  },
};
