'use strict';
// What a change of workers costs clients, with cluster2-rs and with its peers. The same server, the
// same clients, one peer after another; the numbers are counts and not speeds.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const { Clients } = require('./lib/clients');
const { workersThatAnswer } = require('./lib/client');
const { livingPids, killAllNow, signal } = require('./lib/processes');
const { withPeer, removeDirectories } = require('./lib/peer');
const { until } = require('./lib/poll');

const PM2 = 'pm2@7.0.1';
const PEERS = {
  cluster2: 'cluster2-rs',
  'node-cluster-rolling': '`node:cluster`, rolling by hand',
  pm2: 'PM2',
  'pm2-graceful': 'PM2, app closes on SIGINT',
};
const LOAD = { keepAlive: 32, oneShot: 8 };
const RELOADS = 4;
const KILLS = 4;
const CHANGE_DEADLINE_MS = 20_000;

const workers = (port) => workersThatAnswer(port, 16);

// All workers are other ones than before.
async function replaced(port, before, count = before.size) {
  await until('the workers are replaced', CHANGE_DEADLINE_MS, async () => {
    const now = await workers(port);
    return [...now].filter((pid) => !before.has(pid)).length >= count;
  });
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const SCENARIOS = {
  [`${RELOADS} reloads`]: {
    load: LOAD,
    async change({ pid, port }) {
      for (let i = 0; i < RELOADS; i++) {
        const before = await workers(port);
        signal(pid, 'SIGHUP');
        await replaced(port, before);
        // What an old worker does to its clients at its end is part of the cost.
        await until('the old workers are gone', CHANGE_DEADLINE_MS, () => ![...before].some((old) => isAlive(Number(old))));
      }
    },
  },
  [`SIGKILL of ${KILLS} workers`]: {
    load: LOAD,
    async change({ port }) {
      let older = new Set();
      for (let i = 0; i < KILLS; i++) {
        const before = await workers(port);
        // Whose clients are how many depends on their ages: always the older one, or luck decides what a kill costs.
        signal(Number([...before].find((pid) => older.has(pid)) ?? [...before][0]), 'SIGKILL');
        older = before;
        await replaced(port, before, 1);
      }
    },
  },
  'one worker blocked for 3 s': {
    load: { oneShot: 16 },
    async change({ port }) {
      const blocked = fetch(`http://127.0.0.1:${port}/block`);
      await blocked.then((response) => response.text());
    },
  },
};

async function measure(peer, name) {
  const { load, change } = SCENARIOS[name];
  const problems = [];
  const counts = await withPeer(
    peer,
    async (running) => {
      const clients = new Clients(running.port).start(load);
      try {
        await until('load', CHANGE_DEADLINE_MS, () => clients.counts.ok > 1000);
        await change(running);
      } finally {
        await clients.stop();
      }
      return clients.counts;
    },
    (problem) => problems.push(problem),
  );
  return { peer, name, ...counts, problems };
}

// PM2 is no dependency of this project: it is installed for the measurement alone.
function installPm2() {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-bench-pm2-'));
  process.stderr.write(`installing ${PM2} …\n`);
  execFileSync('npm', ['install', '--prefix', directory, '--no-audit', '--no-fund', PM2], { stdio: 'ignore' });
  process.env.PM2_MODULE = path.join(directory, 'node_modules', 'pm2');
  process.env.PM2_HOME = path.join(directory, 'home');
  process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }));
}

function table(rows) {
  const head = '| what happens | under | answered | lost | refused | reconnects of 32 keep-alive clients | over 0.5 s |';
  const line = (row) =>
    `| ${row.name} | ${PEERS[row.peer]} | ${row.ok} | ${row.lost} | ${row.refused} | ${row.reconnects} | ${row.slow} |`;
  return [head, '| --- | --- | --- | --- | --- | --- | --- |', ...rows.map(line)].join('\n');
}

async function main() {
  const peers = process.argv.slice(2).filter((name) => name in PEERS);
  const chosen = peers.length > 0 ? peers : Object.keys(PEERS);
  process.on('exit', () => {
    killAllNow();
    removeDirectories();
  });
  for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => process.exit(1));
  if (chosen.some((name) => name.startsWith('pm2'))) installPm2();
  const rows = [];
  for (const name of Object.keys(SCENARIOS)) {
    for (const peer of chosen) {
      process.stderr.write(`${name}: ${PEERS[peer]} …\n`);
      rows.push(await measure(peer, name));
    }
  }
  console.log(table(rows));
  console.log(`\n${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${PM2}, ${os.cpus().length} cores`);
  for (const { name, peer, problems } of rows) for (const problem of problems) console.log(`${name}, ${PEERS[peer]}: ${problem}`);
  if (livingPids().length > 0) throw new Error('processes are left');
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
