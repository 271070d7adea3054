'use strict';
// Three times as many requests as the workers can answer.

const { Arrivals } = require('../lib/arrivals');
const { Clients } = require('../lib/clients');
const { WARM_UP_SECONDS } = require('../lib/load');
const { setTimeout: pause } = require('node:timers/promises');

/** About 10 ms of processor time, so that the clients take little of the machine beside it. */
const WORK = '/work/50000';
/** Enough that no worker is ever idle, and few enough that none waits for `overload.delay`. */
const PEAK_CLIENTS = 8;
const TIMES = 3;
const SECONDS = 6;
const QUICK_SECONDS = 2;
const OVERHEAD_SECONDS = 2;

const secondsOf = ({ seconds }) => (seconds === 1 ? QUICK_SECONDS : SECONDS);

// Returns how many requests the workers answer in a second if there is always another one.
async function peakRate(port, seconds) {
  const clients = new Clients(port, { path: WORK }).start({ oneShot: PEAK_CLIENTS });
  await pause(WARM_UP_SECONDS * 1000);
  clients.reset();
  await pause(seconds * 1000);
  const { ok } = { ...clients.counts };
  await clients.stop();
  return ok / seconds;
}

async function overload({ port }, options) {
  const seconds = secondsOf(options);
  const peak = await peakRate(port, seconds);
  const arrivals = new Arrivals(port, WORK);
  await arrivals.run(TIMES * peak, seconds, WARM_UP_SECONDS);
  const waiting = arrivals.end();
  const { served, refused, lost } = arrivals.counts;
  const { p50, p99 } = arrivals.latencies.summary();
  return {
    overloadPeak: peak,
    overloadServed: served / seconds / peak,
    overloadP50: p50,
    overloadP99: p99,
    overloadRefused: refused,
    overloadLost: lost,
    overloadWaiting: waiting,
  };
}

const count = (label) => ({ label, digits: 0, better: 'less' });

module.exports = {
  overload: {
    title: `${TIMES} × the requests that the workers can answer, one a connection, 10 ms each`,
    peers: ['cluster2-overload', 'cluster2'],
    fewer: true,
    seconds: (options) => 2 * (secondsOf(options) + WARM_UP_SECONDS) + OVERHEAD_SECONDS,
    run: overload,
    metrics: {
      overloadPeak: { label: 'peak, requests/s', digits: 0, better: 'more' },
      overloadServed: { label: 'answered ÷ peak', digits: 2, better: 'more' },
      overloadP50: { label: 'p50 of these, ms', digits: 0, better: 'less' },
      overloadP99: { label: 'p99 of these, ms', digits: 0, better: 'less' },
      overloadRefused: { label: 'answered 503', digits: 0, better: 'less' },
      overloadLost: count('lost'),
      overloadWaiting: count('still waiting at the end'),
    },
  },
};
