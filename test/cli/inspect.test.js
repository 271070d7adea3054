'use strict';

// `cluster2 profile` and `cluster2 heap`: a look inside a worker by Node's inspector, without a
// port.

const assert = require('node:assert');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { cluster2, startPlain } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { CLI } = require('../helpers/cluster');
const { every, until } = require('../helpers/wait');

/** Runs a command while this process goes on. */
const ask = (script, ...args) => promisify(execFile)(CLI, args, { cwd: script.cwd });
const json = (script, name) => JSON.parse(fs.readFileSync(path.join(script.cwd, name), 'utf8'));

/** The numbers of the sockets of this process that listen on TCP. */
function listening(pid) {
  const tables = ['tcp', 'tcp6'].map((name) => fs.readFileSync(`/proc/${pid}/net/${name}`, 'utf8'));
  const rows = tables.flatMap((text) => text.split('\n')).map((row) => row.trim().split(/\s+/));
  const all = new Set(rows.filter((row) => row[3] === '0A').map((row) => `socket:[${row[9]}]`));
  const descriptors = fs.readdirSync(`/proc/${pid}/fd`);
  return descriptors.flatMap((fd) => {
    try {
      const target = fs.readlinkSync(`/proc/${pid}/fd/${fd}`);
      return all.has(target) ? [target] : [];
    } catch {
      return []; // closed meanwhile
    }
  });
}

describe('a look inside a worker', () => {
  it('profile shows where the time of a busy worker goes, and reports its progress', async () => {
    const script = await startPlain();
    const [pid] = script.workers();
    const stop = every(20, () => request(script.port, '/block/x/5').catch(() => {}));
    const { stdout, stderr } = await ask(
      script, 'profile', String(pid), '--seconds', '2', '--file', 'p.cpuprofile',
    ).finally(stop);
    assert.match(stderr, /asking worker \d+ for 2 s, in which it is a little slower\ncluster2: 1 of 2 s\n/);
    assert.match(stdout, new RegExp(`^${script.cwd}/p\\.cpuprofile \\(\\d+.*B\\)\n$`));
    const profile = json(script, 'p.cpuprofile');
    assert.ok(profile.nodes.some(({ callFrame }) => callFrame.functionName === 'block'));
    assert.ok(profile.endTime - profile.startTime >= 1.9e6);
    const mode = fs.statSync(path.join(script.cwd, 'p.cpuprofile')).mode & 0o777;
    assert.strictEqual(mode, 0o600);
    assert.ok(script.workers().includes(pid));
  });

  it('profile of a worker that is stuck says so, and how to see what it executes', async () => {
    const script = await startPlain();
    const blocked = request(script.port, '/block/x/4500');
    const [, pid] = await script.until('it is blocked', () =>
      script.output.match(/"blocking",(\d+)/));
    const { stderr } = await ask(script, 'profile', pid, '--seconds', '1');
    assert.match(stderr, new RegExp(`worker ${pid} is busy, .* for 4 s: 'cluster2 stack ${pid}'`));
    assert.strictEqual((await blocked).status, 200);
  });

  it('heap writes all its objects, warns of the pause, and the worker goes on', async () => {
    const script = await startPlain();
    const [pid] = script.workers();
    const { stdout, stderr } = await ask(script, 'heap', String(pid));
    assert.match(stderr, /answers nothing until its snapshot is written/);
    const [, file] = stdout.match(/^(\S+\.heapsnapshot) \(.*\)\n$/);
    assert.match(path.basename(file), new RegExp(`^worker-${pid}-\\d{8}-\\d{6}\\.heapsnapshot$`));
    const { snapshot, nodes } = JSON.parse(fs.readFileSync(file, 'utf8'));
    assert.strictEqual(nodes.length, snapshot.node_count * snapshot.meta.node_fields.length);
    for (let asked = 0; asked < 4; asked += 1) await request(script.port, '/now/x/0');
    assert.ok(script.workers().includes(pid));
  });

  it('does not count as a hang while the worker writes its snapshot', async () => {
    const script = await startPlain({ flags: ['--max-heartbeat-delay', '1s'] });
    const text = 'globalThis.kept = Array.from({ length: 700_000 }, (_, at) => ({ at }));';
    fs.writeFileSync(path.join(script.cwd, 'app.js'), text);
    const old = script.workers();
    assert.strictEqual(cluster2(script.cwd, 'reload').status, 0);
    const areGone = () => !script.workers().some((pid) => old.includes(pid));
    await script.until('the old workers are gone', areGone);
    const [pid] = script.workers();
    const begun = performance.now();
    await ask(script, 'heap', String(pid), '--file', 'h');
    assert.ok(performance.now() - begun > 1500, 'it took longer than it may hang');
    assert.doesNotMatch(script.errors, /hangs/);
    assert.ok(script.workers().includes(pid));
    // Node 18 needs three times as long as later ones.
  }).timeout(60_000);

  it('opens no port', async () => {
    const script = await startPlain();
    const [pid] = script.workers();
    const before = listening(pid);
    assert.strictEqual(before.length, 1);
    const asked = ask(script, 'profile', String(pid), '--seconds', '1', '--file', 'p');
    await until('the profile has begun', () => fs.existsSync(path.join(script.cwd, 'p')));
    assert.deepStrictEqual(listening(pid), before);
    await asked;
  });

  it('is refused during another one, for an existing file, and for an unknown worker', async () => {
    const script = await startPlain();
    const [pid] = script.workers();
    fs.writeFileSync(path.join(script.cwd, 'mine'), 'mine');
    const there = cluster2(script.cwd, 'heap', String(pid), '--file', 'mine');
    assert.strictEqual(there.status, 1);
    assert.match(there.stderr, /looking inside the worker failed: EEXIST/);
    assert.strictEqual(fs.readFileSync(path.join(script.cwd, 'mine'), 'utf8'), 'mine');
    const first = ask(script, 'profile', String(pid), '--seconds', '2', '--file', 'p');
    await until('the profile has begun', () => fs.existsSync(path.join(script.cwd, 'p')));
    const second = cluster2(script.cwd, 'profile', String(pid), '--file', 'q');
    assert.match(second.stderr, /while the cluster is looking inside that worker already/);
    await first;
    assert.match(
      cluster2(script.cwd, 'heap', String(process.pid)).stderr,
      /is not a worker of this cluster/,
    );
  });

  it('fails when the worker ends meanwhile', async () => {
    const script = await startPlain();
    const [pid] = script.workers();
    const asked = ask(script, 'profile', String(pid), '--seconds', '60', '--file', 'p');
    await until('the profile has begun', () => fs.existsSync(path.join(script.cwd, 'p')));
    process.kill(pid, 'SIGKILL');
    await assert.rejects(asked, /looking inside the worker failed: it has ended/);
  });
});
