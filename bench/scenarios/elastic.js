'use strict';
// A number of workers that follows their work (the option `maxWorkers`): how soon it grows when the
// load doubles, and how soon it falls when the load ends.

const path = require('node:path');
const { setTimeout: pause } = require('node:timers/promises');
const { Clients, Latencies } = require('../lib/clients');
const { packageFolder } = require('../lib/package');
const { until } = require('../lib/poll');

/** Each request blocks its worker for so long. Half of the load makes one worker busy for 40 %. */
const BLOCKING = { every: 1, ms: 4 };
const HALF = { clients: 16, everyMs: 200 };
/** A whole window of measurements, and a little more. */
const SETTLED_MS = 13_000;
/** How long the requests of the doubled load are timed once there is another worker. */
const AFTER_MS = 5_000;
const DEADLINE_MS = 60_000;
const LOOK_EVERY_MS = 50;

/** Half of the load. `onAnswer` gets the duration of each request, milliseconds. */
function half(port, onAnswer) {
  const { clients, everyMs } = HALF;
  const options = { blocking: BLOCKING, everyMs, onAnswer: (begin, end) => onAnswer(end - begin) };
  return new Clients(port, options).start({ oneShot: clients });
}

async function elastic(peer) {
  const { Cluster } = require(packageFolder());
  const cluster = new Cluster({ pids: path.join(peer.dir, 'pids') });
  const workers = async (count) => {
    const { workers: all, master } = await cluster.status();
    const ready = all.filter(({ state }) => state === 'ready');
    return master.target === count && ready.length === count && all.length === count;
  };
  const reached = async (count) => {
    const begin = performance.now();
    const what = `${count} workers`;
    await until(what, DEADLINE_MS, () => workers(count), LOOK_EVERY_MS);
    return (performance.now() - begin) / 1000;
  };
  let latencies = new Latencies();
  const record = (ms) => latencies.record(ms);
  const halves = [half(peer.port, record)];
  try {
    await pause(SETTLED_MS);
    if (!await workers(1)) throw new Error('half of the load made a second worker');
    halves.push(half(peer.port, record));
    latencies = new Latencies();
    const elasticFollowed = await reached(2);
    const alone = latencies.summary().p99;
    latencies = new Latencies();
    await pause(AFTER_MS); // the time that is measured
    const elasticP99 = latencies.summary().p99;
    const counts = await Promise.all(halves.map((clients) => clients.stop()));
    const elasticBack = await reached(1);
    const lost = counts.reduce((sum, { lost: ended, refused }) => sum + ended + refused, 0);
    return { elasticFollowed, elasticBack, elasticAlone: alone, elasticP99, elasticLost: lost };
  } finally {
    await Promise.all(halves.map((clients) => clients.stop()));
  }
}

const less = (label, digits) => ({ label, digits, better: 'less' });

module.exports = {
  elastic: {
    title: 'a load of 40 % of one worker that doubles, and ends',
    peers: ['cluster2-elastic'],
    fewer: true,
    seconds: () => 50,
    run: elastic,
    metrics: {
      elasticFollowed: less('until there are two workers, s', 1),
      elasticAlone: less('p99 until then, ms', 1),
      elasticP99: less('p99 with two, ms', 1),
      elasticBack: less('from its end until there is one, s', 1),
      elasticLost: less('requests lost', 0),
    },
  },
};
