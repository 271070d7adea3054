'use strict';

// The answer of `status()`, as `Process::status_now` of `src/single.rs` makes it.

const os = require('node:os');

/** Where a server listens, `host:port` or a path, as `Endpoint` of `src/protocol/endpoint.rs`. */
function addressOf({ address, port, path }) {
  if (path === undefined) return `${address.includes(':') ? `[${address}]` : address}:${port}`;
  return path.startsWith('\0') ? `@${path.slice(1).replace(/\0+$/, '')}` : path;
}

/**
 * @param {object} process
 * @param {object} process.info `name`, `script`, `directory`, `startedAt`, `version`, `node`,
 *   `hostname`
 * @param {boolean} process.isLeaving
 * @param {object[]} process.listening an endpoint each
 * @param {object} process.numbers `Counters#snapshot`
 * @param {object} process.rates `cpuPercent`, `eventLoopUtilization`
 * @param {object[]} process.events
 * @param {{ isDisabled: boolean, since: number, problem: string= }} process.health
 */
function statusOf({ info, isLeaving, listening, numbers, health, rates, events }) {
  const { pid, connections, requests, rss, cpu } = numbers;
  const { startedAt, ...about } = info;
  const { isDisabled, since, problem } = health;
  return {
    running: true,
    master: {
      pid,
      startedAt,
      ...about,
      os: [os.type(), os.release(), os.machine?.() ?? os.arch()].join(' '),
      state: isLeaving ? 'leaving' : 'running',
      target: 0,
      scaling: null,
      spares: 0,
      reload: null,
      upgrade: null,
      listening: listening.map(addressOf),
      monitor: null,
      rss,
      cpu,
      cpuPercent: rates.cpuPercent,
    },
    // A stuck event loop would not answer.
    workers: [{
      slot: 0, pid, generation: 1, state: 'ready', stuckFor: null, startedAt,
      connections, requests, eventLoopDelay: numbers.eventLoopDelay, rss, cpu, ...rates,
      restarts: 0, crashes: 0,
    }],
    ecv: {
      disabled: isDisabled,
      since: new Date(since).toISOString(),
      unavailable: null,
      unhealthy: problem === undefined ? [] : [{ pid, reason: problem }],
    },
    overload: null,
    totals: {
      connections: connections.total, timedOut: connections.timedOut, requests: requests.total,
      handed: 0, reclaimed: 0, moved: 0, retried: 0, shed: 0, waiting: 0,
      exits: {}, reloads: 0, reloadsFailed: 0, scaledUp: 0, scaledDown: 0,
      drains: { count: 0, total: 0 },
    },
    slots: [],
    events,
  };
}

module.exports = { addressOf, statusOf };
