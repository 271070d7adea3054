'use strict';

const Cluster = require(process.env.CLUSTER2_RS ?? '../..');
const server = require('../app')();

const delay = process.env.OVERLOAD_DELAY;

const cluster = new Cluster({
  port: Number(process.env.PORT),
  noWorkers: Number(process.env.WORKERS),
  maxWorkers: process.env.MAX_WORKERS,
  pids: process.env.PIDS,
  monPort: 0,
  balance: process.env.BALANCE,
  retry: process.env.RETRY === 'yes',
  overload: delay ? { delay } : undefined,
  spares: Number(process.env.SPARES ?? 0),
});

// An app that takes so long until it can listen.
cluster.listen((cb) => setTimeout(cb, Number(process.env.APP_START_MS ?? 0), server));
