'use strict';
// Starts one peer in a directory of its own, waits until it serves, and stops it with all its
// processes before anything else starts.

const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { once } = require('node:events');
const { until } = require('./poll');
const { openConnections } = require('./proc');
const { workersThatAnswer } = require('./client');
const { spawnTagged, livingPids, signal } = require('./processes');

const WORKERS = 2;
const PROBES = 16; // at once, as a single one could always meet the same worker
const START_DEADLINE_MS = 20_000;
const QUIET_DEADLINE_MS = 5_000;
const TERM_DEADLINE_MS = 10_000;
const KILL_DEADLINE_MS = 5_000;

const PEERS = {
  cluster2: { label: 'cluster2-rs', workers: WORKERS },
  'node-cluster': { label: 'node:cluster (default)', workers: WORKERS },
  'node-cluster-none': { label: 'node:cluster SCHED_NONE', workers: WORKERS },
  'node-cluster-rolling': { label: 'node:cluster (default)', workers: WORKERS },
  pm2: { label: 'PM2', workers: WORKERS },
  'pm2-graceful': { label: 'PM2, graceful app', workers: WORKERS },
  single: { label: 'one process', workers: 1 },
  bare: { label: 'bare node', workers: 0 },
};

const root = { dir: null };

function makeDirectory() {
  root.dir ??= fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-bench-'));
  return fs.mkdtempSync(path.join(root.dir, 'peer-'));
}

function removeDirectories() {
  if (root.dir) fs.rmSync(root.dir, { recursive: true, force: true });
}

// A fresh port each time: no state of the last peer's connections comes into the next run.
async function freePort() {
  const server = net.createServer().listen(0, '0.0.0.0');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function launch(name) {
  const port = await freePort();
  const dir = makeDirectory();
  const output = fs.openSync(path.join(dir, 'output.txt'), 'a');
  const child = spawnTagged(process.execPath, [path.join(__dirname, '..', 'peers', `${name}.js`)], {
    cwd: dir,
    env: { PORT: String(port), WORKERS: String(WORKERS), PIDS: path.join(dir, 'pids') },
    stdio: ['ignore', output, output],
  });
  fs.closeSync(output);
  await once(child, 'spawn');
  return { name, child, pid: child.pid, port, dir };
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

async function serves({ name, port, dir }) {
  const { workers } = PEERS[name];
  if (workers === 0) return fs.existsSync(path.join(dir, 'ready'));
  return (await workersThatAnswer(port, PROBES)).size === workers;
}

// Ready means that every worker has answered, and that no connection of this question is left.
async function waitUntilReady(running) {
  await until('all workers answer', START_DEADLINE_MS, () => {
    assertRunning(running);
    return serves(running);
  });
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

async function withPeer(name, use, onProblem) {
  const running = await launch(name);
  try {
    await waitUntilReady(running);
    // Where the peer itself is gone, that is the error, and not what came of it.
    return await use(running).finally(() => assertRunning(running));
  } finally {
    const clean = await stop(running);
    if (!clean) onProblem(`did not end within ${TERM_DEADLINE_MS / 1000} s of SIGTERM, killed`);
  }
}

module.exports = { PEERS, WORKERS, withPeer, removeDirectories };
