'use strict';

// Unused ports. They lie below the kernel's ephemeral ports, so that no client's connection takes
// one before a server listens there.

const net = require('node:net');

const FIRST = 10_000;
const LAST = 32_000;

let next = FIRST + Math.floor(Math.random() * (LAST - FIRST));

const isFree = (port) =>
  new Promise((resolve) => {
    const server = net.createServer().on('error', () => resolve(false));
    server.listen(port, '0.0.0.0', () => server.close(() => resolve(true)));
  });

/** Returns the first of `count` unused ports in a row. Each port is returned once in a test run. */
async function freePorts(count) {
  for (;;) {
    if (next + count > LAST) next = FIRST;
    const ports = Array.from({ length: count }, (_, index) => next + index);
    next += count;
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return ports[0];
  }
}

const freePort = () => freePorts(1);

module.exports = { freePort, freePorts };
