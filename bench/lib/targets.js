'use strict';
// What cluster2-rs is to reach with 2 workers on 2 cores. `of` is held beside `to`, or stands alone.

const DEFAULT = 'cluster2';
const KERNEL = 'cluster2-kernel';
const target = (name, metric, sign, bound, { of = DEFAULT, to, how = to ? 'ratio' : 'value' } = {}) =>
  ({ name: of === KERNEL ? `${name}, balance: 'kernel'` : name, metric, sign, bound, of, to, how });

const TARGETS = [
  target('one request a connection, rate ÷ node:cluster', 'oneShot', '>=', 1.5, { to: 'node-cluster' }),
  target('one request a connection, rate ÷ SO_REUSEPORT', 'oneShot', '>=', 0.97, { to: 'reuseport' }),
  target('one request a connection, rate ÷ SO_REUSEPORT', 'oneShot', '>=', 1, { of: KERNEL, to: 'reuseport' }),
  target('keep-alive, rate ÷ SO_REUSEPORT', 'keepAlive', '>=', 0.99, { to: 'reuseport' }),
  target('keep-alive, rate ÷ SO_REUSEPORT', 'keepAlive', '>=', 0.99, { of: KERNEL, to: 'reuseport' }),
  target('64 connections at once, busiest ÷ other worker', 'fairness', '<=', 1.05),
  target('p99 beside blocking requests ÷ SO_REUSEPORT', 'mixedP99', '<=', 0.5, { to: 'reuseport' }),
  target('replacement after SIGKILL ÷ start of one process', 'replacementMs', '<=', 1.1, { to: 'single' }),
  target('requests lost by reloads', 'reloadLost', '<=', 0),
  target('requests lost by reloads', 'reloadLost', '<=', 0, { of: KERNEL }),
  target('memory of the master over bare node, RSS, MB', 'rss', '<=', 8, { to: 'bare', how: 'difference' }),
  target('memory of a worker over one process, RSS, MB', 'serverRss', '<=', 3, { to: 'single', how: 'difference' }),
  target('processor of an idle cluster of 16 workers, %', 'idleCpu', '<=', 0.5),
  target("health checks ÷ the app's own hello", 'ecvToHello', '>=', 1),
];

module.exports = { TARGETS };
