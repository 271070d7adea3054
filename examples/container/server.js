'use strict';

// A server for a container; see docs/guide/containers.md.

const http = require('node:http');
const Cluster = require('cluster2-rs');

const server = http.createServer((request, response) => response.end('hello\n'));

const { PORT, MON_PORT, PIDS, SHUTDOWN_DELAY, SHUTDOWN_TIMEOUT } = process.env;
const cluster = new Cluster({
  port: PORT ?? 3000,
  // Probes and Prometheus come from outside of the container.
  monPort: MON_PORT ?? 3001,
  monHost: '0.0.0.0',
  pids: PIDS ?? 'pids',
  output: 'prefix',
  shutdownDelay: SHUTDOWN_DELAY ?? 0,
  shutdownTimeout: SHUTDOWN_TIMEOUT ?? 30_000,
});
cluster.listen((callback) => callback(server));
