'use strict';

// Unused ports. They lie below the kernel's ephemeral ports, so that no client's connection takes
// one before a server listens there.
//
// Processes of mocha that run at the same time need different ones: `TEST_PORTS=1/2` allows the
// first half of them, `2/2` the second. Otherwise one process could take a port after the other
// has found it free, and before it listens there.

const net = require('node:net');

const ALL = [10_000, 32_000];

const [share, shares] = (process.env.TEST_PORTS ?? '1/1').split('/').map(Number);
const COUNT = Math.floor((ALL[1] - ALL[0]) / shares);
const FIRST = ALL[0] + (share - 1) * COUNT;
const LAST = FIRST + COUNT;

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
