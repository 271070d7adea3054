'use strict';
// Starts one peer in a directory of its own, waits until it serves, and stops it with all its
// processes before anything else starts.

const fs = require('node:fs');
const path = require('node:path');
const { once } = require('node:events');
const { until } = require('./poll');
const { openConnections } = require('./proc');
const { Inquiry } = require('./client');
const { makeDirectory } = require('./directories');
const { freePort } = require('./ports');
const { packageFolder } = require('./package');
const { pm2Environment } = require('./pm2');
const { wattEnvironment, wattNode } = require('./watt');
const { spawnTagged, livingPids, isAlive, signal } = require('./processes');

const QUESTIONS_A_WORKER = 2; // at once, as a single one could always meet the same worker
/** Each worker of Watt loads Watt itself: 16 take many seconds on a busy machine. */
const START_DEADLINE_MS = 60_000;
const ANSWER_DEADLINE_MS = 20_000;
const LOOK_EVERY_MS = 5;
const QUIET_DEADLINE_MS = 5_000;
const TERM_DEADLINE_MS = 10_000;
const KILL_DEADLINE_MS = 5_000;

// `processes`: how many of them serve, where that is not the number of workers asked for.
// `threads`: its workers are threads, so no signal kills one of them, and none has a memory of its
// own.
const PEERS = {
  cluster2: { label: 'cluster2-rs', isOurs: true },
  'cluster2-retry': { label: 'cluster2-rs, retry', isOurs: true },
  'cluster2-elastic': { label: 'cluster2-rs, maxWorkers', processes: 1, isOurs: true },
  'cluster2-overload': { label: 'cluster2-rs, overload', isOurs: true },
  'cluster2-spares': { label: 'cluster2-rs, spares', isOurs: true },
  'cluster2-spares-slow': { label: 'cluster2-rs, spares, 2 s to start', isOurs: true },
  'node-cluster': { label: 'node:cluster (default)' },
  'node-cluster-none': { label: 'node:cluster SCHED_NONE' },
  reuseport: { label: 'bare processes, SO_REUSEPORT' },
  pm2: { label: 'PM2', usesPm2: true },
  'pm2-graceful': { label: 'PM2, app closes on SIGINT', usesPm2: true },
  watt: { label: 'Watt', usesWatt: true, threads: true },
  single: { label: 'one process', processes: 1 },
  bare: { label: 'bare node', processes: 0 },
};

/** The peers that serve with their default settings. */
const OTHERS = [
  'cluster2-retry', 'cluster2-spares', 'cluster2-spares-slow', 'cluster2-elastic',
  'cluster2-overload', 'pm2-graceful', 'bare',
];
const SERVERS = Object.keys(PEERS).filter((peer) => !OTHERS.includes(peer));
/** Those of them with several workers. */
const CLUSTERS = SERVERS.filter((peer) => peer !== 'single');
/** Those that replace a worker which was killed, and no other one with it. */
const SUPERVISORS = CLUSTERS.filter((peer) => peer !== 'reuseport' && !PEERS[peer].threads);

async function launch(name, workers) {
  const port = await freePort();
  const dir = makeDirectory('peer-');
  const { processes = workers, usesPm2, usesWatt, isOurs } = PEERS[name];
  const env = { PORT: String(port), WORKERS: String(workers), PIDS: path.join(dir, 'pids') };
  if (usesPm2) Object.assign(env, await pm2Environment(dir));
  if (usesWatt) Object.assign(env, await wattEnvironment(dir));
  if (isOurs) env.CLUSTER2_RS = packageFolder();
  const node = usesWatt ? wattNode().node : process.execPath;
  const script = path.join(__dirname, '..', 'peers', `${name}.js`);
  const output = fs.openSync(path.join(dir, 'output.txt'), 'a');
  const launchedAt = performance.now();
  const child = spawnTagged(node, [script], {
    cwd: dir,
    env,
    stdio: ['ignore', output, output],
  });
  fs.closeSync(output);
  await once(child, 'spawn');
  return { name, child, pid: child.pid, port, dir, processes, launchedAt };
}

// The line that names the error, out of what the peer has printed before it gave up.
function lastWords({ dir }) {
  const lines = fs.readFileSync(path.join(dir, 'output.txt'), 'utf8').split('\n').filter((line) => line.trim());
  return lines.find((line) => /^\w*(Error|error)\b.*:/.test(line)) ?? lines.at(-1) ?? 'it printed nothing';
}

function assertRunning(running) {
  const { exitCode, signalCode } = running.child;
  if (exitCode === null && signalCode === null) return;
  throw new Error(`the peer ended by itself (${signalCode ?? `exit code ${exitCode}`}): ${lastWords(running)}`);
}

// Waits until `count` workers answer, of which none is in `gone`. Returns their ids (see app.js).
async function answering(running, options = {}) {
  const { gone = new Set(), count = running.processes, deadlineMs = ANSWER_DEADLINE_MS } = options;
  const { everyMs = LOOK_EVERY_MS } = options;
  const inquiry = new Inquiry(running.port);
  const found = () => [...inquiry.workers].filter((pid) => !gone.has(pid) && isAlive(pid));
  try {
    return await until(`${count} workers answer`, deadlineMs, () => {
      assertRunning(running);
      // While nobody has started yet, one question is enough, and takes little of the machine from
      // those who start.
      inquiry.ask(gone.size + inquiry.workers.size === 0 ? 1 : QUESTIONS_A_WORKER * running.processes);
      return found().length >= count && new Set(found());
    }, everyMs);
  } finally {
    inquiry.end();
  }
}

// A peer without a port tells it by a file.
function isReady(running) {
  assertRunning(running);
  return fs.existsSync(path.join(running.dir, 'ready'));
}

// Ready means that every worker has answered, and that no connection of this question is left.
async function waitUntilReady(running) {
  const deadlineMs = START_DEADLINE_MS;
  if (running.processes > 0) running.workers = await answering(running, { deadlineMs });
  else await until('the peer is ready', deadlineMs, () => isReady(running));
  running.startMs = performance.now() - running.launchedAt;
  await until('connections closed', QUIET_DEADLINE_MS, () => openConnections(running.port) === 0);
}

// Returns whether the peer went by itself when told to.
async function stop({ pid, dir }) {
  const allGone = () => livingPids().length === 0;
  signal(pid, 'SIGTERM');
  const clean = await until('stop', TERM_DEADLINE_MS, allGone).catch(() => false);
  if (!clean) {
    await until('all processes gone', KILL_DEADLINE_MS, () => {
      for (const left of livingPids()) signal(left, 'SIGKILL');
      return allGone();
    });
  }
  fs.rmSync(dir, { recursive: true, force: true });
  return clean;
}

async function withPeer(name, workers, use, onProblem) {
  const running = await launch(name, workers);
  try {
    await waitUntilReady(running);
    // Where the peer itself is gone, that is the error, and not what came of it.
    return await use(running).finally(() => assertRunning(running));
  } finally {
    const clean = await stop(running);
    if (!clean) onProblem(`did not end within ${TERM_DEADLINE_MS / 1000} s of SIGTERM, killed`);
  }
}

module.exports = { PEERS, SERVERS, CLUSTERS, SUPERVISORS, withPeer, answering };
