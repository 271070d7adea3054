'use strict';

// `cluster2 status`: the table, --json and --watch.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { cluster2, startPlain, statusOf } = require('../helpers/cli');
const { CLI, Script } = require('../helpers/cluster');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { VERSION } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const { until, within } = require('../helpers/wait');

const APP = "require('http').createServer().listen(process.env.PORT)";
const FIXTURE = path.join(__dirname, '..', 'fixtures', 'plain.js');

describe('cluster2 status', () => {
  let folder;
  beforeEach(() => (folder = emptyFolder()));
  afterEach(removeFolders);

  it('prints a table, without colours if standard output is not a terminal', async () => {
    const script = await startPlain();
    const { status, stdout } = cluster2(script.cwd, 'status');
    assert.strictEqual(status, 0);
    assert.match(stdout, /^cluster2-rs: all 2 workers are ready\n/);
    const about = stdout.replaceAll('\n    ', ' ');
    assert.match(
      about,
      new RegExp(
        `^cluster2 \\d+\\.\\d+\\.\\d+ on .+: master ${script.pid}, up \\d+ s, \\d+% CPU, .*; ` +
          `Node ${VERSION}$`,
        'm',
      ),
    );
    assert.match(about, new RegExp(`^running ${FIXTURE} in ${fs.realpathSync(script.cwd)}$`, 'm'));
    assert.match(about, /^so far 0 connections .*, 0 requests; 0 of 0 reloads failed$/m);
    assert.match(
      stdout,
      new RegExp(`^listening on 127\\.0\\.0\\.1:${script.port}; monitor off$`, 'm'),
    );
    assert.match(stdout, /^health check AVAILABLE$/m);
    const rows = stdout.split('\n').filter((line) => /^[01] /.test(line));
    assert.deepStrictEqual(
      rows.map((row) => Number(row.split(/ +/)[1])).sort(),
      script.workers().sort(),
    );
    assert.ok(
      rows.every((row) => /^[01] +\d+ +ready +\d+s +0 +0 +- +\S+ +\d+% +\S+ MiB +1 +0$/.test(row)),
      stdout,
    );
    assert.ok(stdout.split('\n').every((line) => line.length <= 80), stdout);
  });

  it('says how many workers are ready, if some are missing', async () => {
    const script = await startPlain();
    fs.writeFileSync(path.join(script.cwd, 'app.js'), "throw new Error('bad code')");
    script.workers().forEach((pid) => process.kill(pid, 'SIGKILL'));
    await until('status says so', () =>
      / NO WORKER IS READY, of 2$/m.test(cluster2(script.cwd, 'status').stdout),
    );
  });

  it('calls the cluster by its name: the option, the package, or the directory', async () => {
    const named = await startPlain({ flags: ['--name', 'the shop'] });
    assert.match(cluster2(named.cwd, 'status').stdout, /^the shop: all 2 workers are ready\n/);
    assert.strictEqual(statusOf(named.cwd).master.name, 'the shop');
    for (const [name, text] of [['app.js', APP], ['package.json', '{ "name": "@acme/api" }']])
      fs.writeFileSync(path.join(folder, name), text);
    const packaged = await startPlain({ file: path.join(folder, 'app.js'), cwd: folder });
    const { name, script, directory } = statusOf(packaged.cwd).master;
    assert.deepStrictEqual(
      { name, script, directory },
      { name: '@acme/api', script: path.join(folder, 'app.js'), directory: folder },
    );
  });

  it('shows an idle worker as idle and a looping one as busy, also while it is stuck', async () => {
    const code = `
      const server = require('http').createServer(() => { for (;;); });
      server.listen(process.env.PORT, '127.0.0.1');`;
    const file = path.join(folder, 'app.js');
    fs.writeFileSync(file, code);
    const script = await startPlain({ file, cwd: folder });
    const workers = () => statusOf(folder).workers;
    const isIdle = ({ eventLoopUtilization: part, cpuPercent }) =>
      part !== null && part < 0.5 && cpuPercent < 50;
    await until('both are idle', () => workers().every(isIdle), 20_000);
    require('node:http').get({ port: script.port, agent: false }).on('error', () => {});
    const stuck = await until('one is stuck', () =>
      workers().find(({ state, cpuPercent }) => state === 'stuck' && cpuPercent > 20),
    20_000);
    assert.strictEqual(stuck.eventLoopUtilization, 1);
    assert.ok(stuck.cpuPercent < 250, `${stuck.cpuPercent}`);
    const row = cluster2(folder, 'status').stdout.match(/^\d +\d+ +stuck \d+s .*$/m)[0];
    assert.match(row, / 100% +[1-9]\d+% /);
    assert.strictEqual(cluster2(folder, 'stop').status, 0);
    await script.ended();
  });

  it('shows a shutdown as soon as it is requested', async () => {
    const script = await startPlain({ flags: ['--shutdown-delay', '60000'] });
    script.kill();
    await until('it is leaving', () => statusOf(script.cwd).master.state === 'leaving');
    assert.match(cluster2(script.cwd, 'status').stdout, /: leaving, the cluster is shutting down\n/);
    cluster2(script.cwd, 'stop');
    await script.ended();
  });

  it('names a path that is not a directory', () => {
    fs.writeFileSync(path.join(folder, 'file'), '');
    const { status, stderr } = cluster2(folder, 'status', '--pids', 'file');
    assert.strictEqual(status, 1);
    const reason =
      /^cluster2: cannot look into \S+\/file: Not a directory .* \(option 'pids'\) \(CLUSTER2_ERR_\w+\)\n$/;
    assert.match(stderr, reason);
    for (const command of ['status', 'start']) {
      const empty = cluster2(folder, command, '--pids', '');
      assert.deepStrictEqual(
        [empty.status, empty.stderr],
        [2, 'cluster2: --pids must be a text that is not empty; got ""\n'],
      );
    }
  });

  it('--json prints the result of status(), also for a cluster that Node started', async () => {
    const script = await new Script('http.js', {
      port: await freePort(),
      options: { monPort: false },
    }).ready();
    const status = statusOf(script.cwd);
    assert.deepStrictEqual(
      [status.running, status.master.pid, status.workers.length],
      [true, script.pid, 2],
    );
  });

  it('--watch prints it every second, with request rates, until the cluster ends', async () => {
    const script = await startPlain();
    const watch = spawn(CLI, ['status', '--watch'], { cwd: script.cwd });
    let seen = '';
    watch.stdout.on('data', (text) => (seen += text));
    const ended = new Promise((resolve) => watch.on('close', resolve));
    // The second table is complete once the third one has begun.
    const tables = () => seen.split('  crash').slice(1);
    await until('there is a second table', () => tables().length > 2);
    const rates = tables()[1]
      .split('\n')
      .slice(1, 3)
      .map((row) => row.trim().split(/ +/)[6]);
    assert.deepStrictEqual(rates, ['0', '0']);
    script.kill();
    assert.strictEqual(await within('it ends', ended, 10_000), 3);
  });
});
