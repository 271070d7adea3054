'use strict';
// A small HTTP client that wants to know which worker answers.

const http = require('node:http');

const DEADLINE_MS = 2000;

function workerOf(port, agent) {
  return new Promise((resolve, reject) => {
    const req = http.get({ host: '127.0.0.1', port, path: '/pid', agent, signal: AbortSignal.timeout(DEADLINE_MS) });
    req.on('error', reject);
    req.on('response', (res) => {
      res.on('error', reject);
      res.on('end', () => resolve({ worker: res.headers['x-worker'], socket: req.socket }));
      res.resume();
    });
  });
}

// The workers that answer `count` connections made at once, each closed again after its request.
async function workersThatAnswer(port, count) {
  const requests = Array.from({ length: count }, () => workerOf(port, false));
  const settled = await Promise.allSettled(requests);
  return new Set(settled.filter((one) => one.status === 'fulfilled').map((one) => one.value.worker));
}

// Opens `count` connections at once, keeps all of them until the last has its answer, and
// counts how many each worker holds.
async function connectionsByWorker(port, count) {
  const agent = new http.Agent({ keepAlive: true, maxFreeSockets: count });
  try {
    const replies = await Promise.all(Array.from({ length: count }, () => workerOf(port, agent)));
    const sockets = new Set(replies.map((reply) => reply.socket));
    if (sockets.size !== count) throw new Error(`${sockets.size} connections instead of ${count}`);
    const held = new Map();
    for (const { worker } of replies) held.set(worker, (held.get(worker) ?? 0) + 1);
    return held;
  } finally {
    agent.destroy();
  }
}

module.exports = { workersThatAnswer, connectionsByWorker };
