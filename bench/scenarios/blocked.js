'use strict';
// One worker whose event loop is stuck for seconds: how long the requests of others wait for it.

const { setTimeout: pause } = require('node:timers/promises');
const { Clients } = require('../lib/clients');
const { Connection } = require('../lib/connection');
const { WARM_UP_SECONDS } = require('../lib/load');
const { KEPT_CONNECTIONS, behindNginx } = require('../lib/nginx');
const { CLUSTERS } = require('../lib/peer');
const { waits } = require('../lib/waits');

const BLOCKED_SECONDS = 3;
const ONE_SHOT_CLIENTS = 16;
const KEEP_ALIVE_CLIENTS = 64;
/** Few enough requests that most connections are idle when the worker begins to block. */
const KEEP_ALIVE_EVERY_MS = 25;
/** A request that takes longer is late. */
const LATE_MS = { oneShot: 50, keepAlive: 250 };
const OVERHEAD_SECONDS = 1;

// The clock of app.js, in terms of performance.now().
const toOwnClock = (ms) => ms - (Number(process.hrtime.bigint()) / 1e6 - performance.now());

// Returns all requests that were answered while a worker was blocked, and when it began to block.
async function whileBlocked(port, clientsOf, everyMs) {
  let answers = [];
  const onAnswer = (begin, end) => answers.push({ begin, ms: end - begin });
  const clients = new Clients(port, { everyMs, onAnswer }).start(clientsOf);
  const blocking = new Connection(port);
  try {
    await pause(WARM_UP_SECONDS * 1000);
    clients.reset();
    answers = [];
    const began = toOwnClock(Number(await blocking.ask(`/block/${BLOCKED_SECONDS * 1000}`)));
    const counts = await clients.stop();
    return { answers, began, counts };
  } finally {
    await clients.stop();
    await blocking.close();
  }
}

function judged({ answers, began, counts }, lateMs) {
  const { worst, late, batch } = waits(answers, began, lateMs);
  const { ok, lost, refused } = counts;
  return { Worst: worst, Late: late, Batch: batch, Lost: lost + refused, Ok: ok };
}

const named = (prefix, values) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [prefix + name, value]));

async function oneShot({ port }) {
  const result = await whileBlocked(port, { oneShot: ONE_SHOT_CLIENTS }, 0);
  return named('blocked', judged(result, LATE_MS.oneShot));
}

const kept = (port) =>
  whileBlocked(port, { keepAlive: KEEP_ALIVE_CLIENTS }, KEEP_ALIVE_EVERY_MS);

async function keepAlive({ port }) {
  return named('blockedKept', judged(await kept(port), LATE_MS.keepAlive));
}

async function nginx({ port }) {
  return named('blockedNginx', judged(await behindNginx(port, kept), LATE_MS.keepAlive));
}

const count = (label) => ({ label, digits: 0, better: 'less' });
const metrics = (prefix, what, lateMs) => named(prefix, {
  Worst: { label: `worst of those ${what} meanwhile, ms`, digits: 1, better: 'less', ratio: true },
  Late: count(`of these, over ${lateMs} ms`),
  Batch: count(`${what} before, over ${lateMs} ms`),
  Lost: count('lost or refused'),
  Ok: { label: 'answered', digits: 0, better: 'more' },
});

const BLOCKED = `one worker blocked for ${BLOCKED_SECONDS} s`;
const CLIENTS =
  `${KEEP_ALIVE_CLIENTS} keep-alive clients, a request in ${KEEP_ALIVE_EVERY_MS} ms each`;
const common = {
  peers: CLUSTERS,
  fewer: true,
  seconds: () => BLOCKED_SECONDS + WARM_UP_SECONDS + OVERHEAD_SECONDS,
};

module.exports = {
  blocked: {
    ...common,
    title: `${BLOCKED}; ${ONE_SHOT_CLIENTS} clients without a pause, one request a connection`,
    run: oneShot,
    metrics: metrics('blocked', 'opened', LATE_MS.oneShot),
  },
  'blocked-keep-alive': {
    ...common,
    title: `${BLOCKED}; ${CLIENTS}`,
    run: keepAlive,
    metrics: metrics('blockedKept', 'sent', LATE_MS.keepAlive),
  },
  'blocked-nginx': {
    ...common,
    title: `${BLOCKED}, behind nginx with \`keepalive ${KEPT_CONNECTIONS}\`; ${CLIENTS}`,
    usesNginx: true,
    run: nginx,
    metrics: metrics('blockedNginx', 'sent', LATE_MS.keepAlive),
  },
};
