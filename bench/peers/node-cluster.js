'use strict';
// node:cluster with what its users write around it: dead workers are replaced, and SIGHUP replaces
// one worker after another, each only after its replacement listens (Node's documentation:
// worker.disconnect() closes the servers and waits for the connections).

const cluster = require('node:cluster');
const { once } = require('node:events');
// Made in the primary too, as in the other peers: the memory of the primaries is compared.
const server = require('../app')();

const leaving = new Set();

async function roll() {
  for (const old of Object.values(cluster.workers).filter((worker) => !leaving.has(worker.id))) {
    await once(cluster.fork(), 'listening');
    leaving.add(old.id);
    old.disconnect();
    setTimeout(() => old.kill(), 3000).unref();
  }
}

if (cluster.isPrimary) {
  for (let i = 0; i < Number(process.env.WORKERS); i++) cluster.fork();
  cluster.on('exit', (worker) => leaving.has(worker.id) || cluster.fork());
  process.on('SIGHUP', roll);
} else {
  server.listen(Number(process.env.PORT), '0.0.0.0');
}
