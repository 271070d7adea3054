'use strict';

// `cluster2 start`: a native process supervises a server that does not know of clusters.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const { once } = require('node:events');
const os = require('node:os');
const path = require('node:path');
const { cluster2, startPlain, statusOf } = require('../helpers/cli');
const { answersOfAll, request } = require('../helpers/client');
const { CLI, Script, canContain, childrenOf, isAlive } = require('../helpers/cluster');
const hammer = require('../helpers/hammer');
const { change, newVersionOf } = require('../helpers/hammered');
const { freePort } = require('../helpers/ports');
const { until, within } = require('../helpers/wait');

const MIB = 1024 * 1024;
const CLIENTS = hammer.allExcept('upgrade');

const who = async (script) => ({
  pid: Number((await request(script.port, '/now/who/0')).body.split(' ').at(-1)),
});

/** Returns the resident memory in KiB. */
const residentOf = (pid) =>
  Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s+(\d+) kB$/m)[1]);

async function assertGoesWell(script) {
  assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
  assert.deepStrictEqual(fs.readdirSync(script.pids), []);
}

describe('cluster2 start', () => {
  it('serves a plain server from all workers, with a health check', async () => {
    const script = await startPlain();
    await answersOfAll(script.workers(), () => who(script));
    const { status: code, headers, body } = await request(script.port, '/ecv');
    assert.deepStrictEqual([code, headers['x-powered-by']], [200, 'Cluster2']);
    assert.match(
      body,
      new RegExp(
        `^status=AVAILABLE&ServeTraffic=true&ip=127\\.0\\.0\\.1&hostname=.+&port=${script.port}&`,
      ),
    );
    assert.deepStrictEqual(statusOf(script.cwd).master.listening, [`127.0.0.1:${script.port}`]);
  });

  it('runs changed code after SIGHUP and `reload`, without losing a request', async () => {
    const script = await startPlain();
    const load = hammer.start(script.port, { clients: CLIENTS });
    await load.answered(100);
    change(script, "module.exports = { version: 'second' };");
    const { status: code, stdout, stderr } = cluster2(script.cwd, 'reload');
    assert.deepStrictEqual([code, stdout], [0, 'all 2 workers are new\n']);
    assert.match(
      stderr,
      /^(cluster2: slot [01]: worker \d+ is ready in place of \d+ \([12] of 2\)\n){2}$/,
    );
    assert.strictEqual(await newVersionOf(script), 'second');
    script.kill('SIGHUP');
    await script.until(
      'a second reload is complete',
      () => script.errors.match(/all 2 workers are new/g)?.length === 2,
    );
    await load.answered(100);
    hammer.assertClean(await load.stop());
    await script.until('the old workers are gone', () => script.workers().length === 2);
    const generations = statusOf(script.cwd).workers.map(({ generation }) => generation);
    assert.deepStrictEqual(generations, [3, 3]);
  });

  for (const signal of ['SIGTERM', 'SIGINT']) {
    it(`answers open requests on ${signal}, refuses new ones, and exits with 0`, async () => {
      const script = await startPlain();
      const load = hammer.start(script.port, { clients: CLIENTS, untilRefused: true });
      await load.answered(100);
      script.kill(signal);
      hammer.assertClean(await load.stop(), { except: hammer.LEAVING });
      await assertGoesWell(script);
    });
  }

  it('ends at once on a second, separate Ctrl-C', async () => {
    const script = await startPlain();
    const late = request(script.port, '/late/x/60000').catch((error) => error);
    await until('the request is under way', () =>
      statusOf(script.cwd).workers.some(({ requests }) => requests.active === 1),
    );
    const begun = performance.now();
    script.kill('SIGINT');
    await script.until('it shuts down', () => script.errors.includes('shutting down'));
    script.kill('SIGINT');
    await script.until('the first one is past', () => performance.now() - begun > 600);
    assert.ok(script.workers().length > 0, 'twice within half a second counts once');
    script.kill('SIGINT');
    assert.ok((await late) instanceof Error);
    await assertGoesWell(script);
  });

  it('replaces a worker that dies, and a hanging one', async () => {
    const script = await startPlain({ flags: ['--max-heartbeat-delay', '1000'] });
    process.kill(script.workers()[0], 'SIGKILL');
    await script.ready(3);
    assert.match(script.errors, /worker \d+ is gone \(crash, SIGKILL\)/);
    const stuck = request(script.port, '/block/x/60000').catch((error) => error);
    await script.ready(4);
    assert.match(
      script.errors,
      /worker \d+ hangs, its event loop did not turn for \d+ ms; it is replaced/,
    );
    assert.ok((await stuck) instanceof Error);
  });

  it('recycles workers that pass a threshold', async () => {
    const script = await startPlain({ flags: ['--conn-threshold', '20'] });
    const load = hammer.start(script.port, { clients: { oneShot: 4 } });
    await script.until(
      'a worker was recycled',
      () => /worker \d+ is gone \(recycle, exit code 0\)/.test(script.errors),
      20_000,
    );
    hammer.assertClean(await load.stop());
  });

  it('uses no more than 8 MiB of memory', async () => {
    const script = new Script('plain.js', {
      port: await freePort(),
      cli: ['--workers', '2', '--mon-port', '0'],
    });
    await script.ready();
    const load = hammer.start(script.port, { clients: { keepAlive: 8, oneShot: 8 } });
    await load.answered(500);
    hammer.assertClean(await load.stop());
    const [, page] = statusOf(script.cwd).master.monitor.split(':');
    assert.strictEqual((await request(Number(page), '/')).status, 200);
    assert.ok(residentOf(script.pid) * 1024 <= 8 * MIB, `${residentOf(script.pid)} KiB`);
  });

  it('is one process: npm’s shell script becomes it, and workers are its children', async () => {
    const script = await startPlain();
    assert.doesNotMatch(fs.readlinkSync(`/proc/${script.pid}/exe`), /node$/);
    assert.deepStrictEqual(
      statusOf(script.cwd)
        .workers.map(({ pid }) => pid)
        .sort(),
      script.workers().sort(),
    );
  });

  it('ends on SIGTERM even if its output is not read', async () => {
    const cwd = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));
    fs.copyFileSync(path.join(__dirname, '..', 'fixtures', 'plain.js'), path.join(cwd, 'plain.js'));
    fs.copyFileSync(
      path.join(__dirname, '..', 'fixtures', 'hammered-app.js'),
      path.join(cwd, 'hammered-app.js'),
    );
    // A pipe holds 64 KiB.
    const full =
      'mkfifo full; exec 3<>full; head -c 65536 /dev/zero >&3; exec "$0" start plain.js --workers 1 --mon-port off 2>&3';
    const child = spawn('sh', ['-c', full, CLI], {
      cwd,
      env: { ...process.env, PORT: String(await freePort()) },
      stdio: 'ignore',
    });
    const ended = once(child, 'exit');
    try {
      const isReady = () =>
        (JSON.parse(cluster2(cwd, 'status', '--json').stdout).workers ?? []).some(
          ({ state }) => state === 'ready',
        );
      await until('the worker is ready', isReady);
      child.kill('SIGTERM');
      assert.deepStrictEqual(await within('it ends', ended), [0, null]);
    } finally {
      child.kill('SIGKILL');
      fs.rmSync(cwd, { recursive: true });
    }
  });

  it('when killed, leaves workers that finish their requests', async () => {
    const script = await startPlain();
    const workers = script.workers();
    const late = request(script.port, '/late/x/500');
    await until('the request is under way', () =>
      statusOf(script.cwd).workers.some(({ requests }) => requests.active === 1),
    );
    script.kill('SIGKILL');
    assert.strictEqual((await late).status, 200);
    await until('the orphans are gone', () => !workers.some(isAlive));
  });
});

describe('cluster2 start as process 1 of a container', () => {
  before('needs a pid namespace, which some users may not make', function () {
    if (!canContain()) this.skip();
  });
  const zombiesOf = (pid) =>
    childrenOf(pid).filter((child) =>
      /^\d+ \(.*\) Z/.test(fs.readFileSync(`/proc/${child}/stat`, 'utf8')),
    );

  it('reaps orphans, replaces its workers, and exits with 0 on SIGTERM', async () => {
    const script = await startPlain({ container: true });
    // Their parent exits at once, and process 1 inherits them.
    const wait = 'sh -c "until test -e go; do sleep 0.02; done" &';
    const text = `require('child_process').spawnSync('sh', ['-c', '${wait} ${wait}'], { stdio: 'ignore' });`;
    fs.writeFileSync(path.join(script.cwd, 'app.js'), text);
    process.kill(script.workers()[0], 'SIGKILL');
    await script.ready(3);
    await until('it inherits them', () => childrenOf(script.master).length === 4);
    fs.writeFileSync(path.join(script.cwd, 'go'), '');
    await until(
      'it reaps them',
      () => childrenOf(script.master).length === 2 && zombiesOf(script.master).length === 0,
    );
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
  });
});
