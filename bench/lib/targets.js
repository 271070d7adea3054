'use strict';
// What cluster2-rs is to reach with 2 workers, or as many as the metric's scenario has, on 2 cores.
// `of` is compared with `to`, or stands alone.

const DEFAULT = 'cluster2';
const SHARED = { to: 'node-cluster-none' };
const OVERLOAD = { of: 'cluster2-overload' };

function target(name, metric, sign, bound, options = {}) {
  const { of = DEFAULT, to, how = to ? 'ratio' : 'value' } = options;
  return { name, metric, sign, bound, of, to, how };
}

const TARGETS = [
  target(
    'one request a connection, rate ÷ node:cluster',
    'oneShot', '>=', 1.5, { to: 'node-cluster' },
  ),
  target(
    'one request a connection, rate ÷ SO_REUSEPORT',
    'oneShot', '>=', 0.97, { to: 'reuseport' },
  ),
  target('one request a connection, rate ÷ SCHED_NONE', 'oneShot', '>=', 1, SHARED),
  target('one request a connection, processor time ÷ SCHED_NONE', 'oneShotCpu', '<=', 1, SHARED),
  target(
    'one request a connection, 16 workers, rate ÷ SCHED_NONE',
    'oneShotMany', '>=', 0.97, SHARED,
  ),
  target('keep-alive, processor time ÷ SCHED_NONE', 'keepAliveCpu', '<=', 1.01, SHARED),
  target('keep-alive, rate ÷ SO_REUSEPORT', 'keepAlive', '>=', 0.99, { to: 'reuseport' }),
  target('64 connections at once, 2 workers, busiest ÷ emptiest', 'fairness', '<=', 1.02),
  target('64 connections at once, 8 workers, busiest ÷ emptiest', 'fairness8', '<=', 1.02),
  target('64 connections one by one, 2 workers, busiest ÷ emptiest', 'fairnessInTurn', '<=', 1),
  target('64 connections one by one, 8 workers, busiest ÷ emptiest', 'fairness8InTurn', '<=', 1),
  target('p99 beside blocking requests ÷ SO_REUSEPORT', 'mixedP99', '<=', 0.5, { to: 'reuseport' }),
  target('p99 beside blocking requests ÷ SCHED_NONE', 'mixedP99', '<=', 1.1, SHARED),
  target('longest request beside blocking requests, ms', 'mixedMax', '<=', 6),
  target(
    'one worker blocked, worst of the connections opened meanwhile, ms',
    'blockedWorst', '<=', 50,
  ),
  target(
    'one worker blocked, keep-alive, requests sent meanwhile over 250 ms',
    'blockedKeptLate', '<=', 0,
  ),
  target(
    'one worker blocked, behind nginx, requests sent meanwhile over 250 ms',
    'blockedNginxLate', '<=', 0,
  ),
  target(
    'three times the load, answered ÷ peak, with overload',
    'overloadServed', '>=', 0.95, OVERLOAD,
  ),
  target(
    'three times the load, p99 of those answered, with overload.delay 100, ms',
    'overloadP99', '<=', 200, OVERLOAD,
  ),
  target('three times the load, requests lost, with overload', 'overloadLost', '<=', 0, OVERLOAD),
  target('keep-alive clients that an exception makes reconnect while idle', 'crashEnded', '<=', 0),
  target(
    'requests in flight that an exception loses, with retry',
    'inFlightLost', '<=', 0, { of: 'cluster2-retry' },
  ),
  target(
    'replacement after SIGKILL ÷ start of one process',
    'replacementMs', '<=', 1.05, { to: 'single' },
  ),
  target(
    'replacement by a spare, ms', 'spareMs', '<=', 10, { of: 'cluster2-spares' },
  ),
  target(
    'replacement by a spare, app of 2 s, ms', 'spareMs', '<=', 10, { of: 'cluster2-spares-slow' },
  ),
  target(
    'one kill a second, app of 2 s, the longest replacement, ms',
    'inTurnLongest', '<=', 10, { of: 'cluster2-spares-slow' },
  ),
  target('requests lost by reloads', 'reloadLost', '<=', 0),
  target('requests lost by upgrades', 'upgradeLost', '<=', 0),
  target('reconnects by upgrades', 'upgradeReconnects', '<=', 0),
  target(
    'memory of the master over bare node, RSS, MB',
    'rss', '<=', 5, { to: 'bare', how: 'difference' },
  ),
  target(
    'memory of a worker over one process, RSS, MB',
    'serverRss', '<=', 2, { to: 'single', how: 'difference' },
  ),
  target('processor of an idle cluster of 16 workers, %', 'idleCpu', '<=', 0.2),
  target(
    'a load that doubles, until there is another worker, s',
    'elasticFollowed', '<=', 15, { of: 'cluster2-elastic' },
  ),
  target(
    'requests lost by changes of the number of workers',
    'elasticLost', '<=', 0, { of: 'cluster2-elastic' },
  ),
  target("health checks ÷ the app's own hello", 'ecvToHello', '>=', 1),
];

module.exports = { TARGETS };
