'use strict';

// The commands of the command line on a running cluster, and what they print if something is wrong.

const assert = require('node:assert');
const { once } = require('node:events');
const { execFile, spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { cluster2, startPlain, statusOf } = require('../helpers/cli');
const { Connection, request } = require('../helpers/client');
const { CLI } = require('../helpers/cluster');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { every, until, within } = require('../helpers/wait');

const NOWHERE = { status: 3, signal: null, stdout: '' };

describe('the commands', () => {
  let folder;
  beforeEach(() => (folder = emptyFolder()));
  afterEach(removeFolders);

  it('scale, reload, ecv and shutdown --wait work, and print the result', async () => {
    const script = await startPlain();
    assert.deepStrictEqual(cluster2(script.cwd, 'scale', '3'), {
      status: 0,
      signal: null,
      stdout: 'from 2 to 3 workers\n',
      stderr: '',
    });
    await script.ready(3);
    assert.strictEqual(cluster2(script.cwd, 'reload').stdout, 'all 3 workers are new\n');
    assert.match(cluster2(script.cwd, 'ecv', 'disable').stdout, /^out of rotation: /);
    assert.match((await request(script.port, '/ecv')).body, /^status=DISABLED/);
    assert.match(cluster2(script.cwd, 'status').stdout, /^health check DISABLED for \d+ s$/m);
    assert.match(cluster2(script.cwd, 'ecv', 'enable').stdout, /^in rotation: /);
    assert.match((await request(script.port, '/ecv')).body, /^status=AVAILABLE/);
    const held = new Connection(script.port);
    held.socket.write('POST /now/x/0 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1');
    await until('the request is under way', () =>
      statusOf(script.cwd).workers.some(({ requests }) => requests.active === 1),
    );
    const asked = promisify(execFile)(CLI, ['shutdown', '--wait'], { cwd: script.cwd });
    let said = '';
    asked.child.stderr.on('data', (text) => (said += text));
    await until('it says what is left', () =>
      /cluster2: \d workers? left, with 1 requests? and 1 connections?\n/.test(said));
    await held.say('2', 'x 2 ');
    const { stdout } = await asked;
    assert.strictEqual(stdout, `the cluster of master ${script.pid} has ended\n`);
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('scale +N and -N change the number of workers by N, within the limits', async () => {
    const script = await startPlain();
    assert.strictEqual(cluster2(script.cwd, 'scale', '+2').stdout, 'from 2 to 4 workers\n');
    assert.strictEqual(cluster2(script.cwd, 'scale', '-1').stdout, 'from 4 to 3 workers\n');
    assert.strictEqual(statusOf(script.cwd).master.target, 3);
    for (const [given, asked] of [['-3', 'by -3 from 3'], ['-50', 'by -50 from 3'], ['5000', 'to 5000']]) {
      const { status, stderr } = cluster2(script.cwd, 'scale', given);
      const limits = 'there must be 1 to 1024 workers (CLUSTER2_ERR_OPTION_INVALID)';
      assert.deepStrictEqual([status, stderr], [2, `cluster2: cannot scale ${asked}: ${limits}\n`]);
    }
    for (const nonsense of ['+', '-', '+-1', '1.5', '--1', 'two'])
      assert.strictEqual(cluster2(script.cwd, 'scale', nonsense).status, 2, nonsense);
    assert.strictEqual(statusOf(script.cwd).master.target, 3);
  });

  it('shutdown returns when no new connection is accepted, and stop kills', async () => {
    const script = await startPlain();
    const held = request(script.port, '/late/x/60000').catch((error) => error);
    await until('the request is under way', () =>
      statusOf(script.cwd).workers.some(({ requests }) => requests.active === 1),
    );
    assert.match(
      cluster2(script.cwd, 'shutdown').stdout,
      new RegExp(`^master ${script.pid} accepts no new connection`),
    );
    assert.strictEqual(
      cluster2(script.cwd, 'stop').stdout,
      `master ${script.pid} and its workers are gone\n`,
    );
    assert.ok((await held) instanceof Error);
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('do not wait for a stopped master', async () => {
    const script = await startPlain();
    script.kill('SIGSTOP');
    const run = promisify(execFile);
    const ask = (...args) =>
      within(
        'it answers',
        run(CLI, args, { cwd: script.cwd }).catch((error) => error),
        15_000,
      );
    const [waits, leaves] = await Promise.all([ask('shutdown', '--wait'), ask('shutdown')]);
    script.kill('SIGCONT');
    assert.deepStrictEqual([waits.code, leaves.code], [1, 1]);
    assert.match(
      waits.stderr,
      /its master is stuck or stopped; `cluster2 stop` ends it \(CLUSTER2_ERR_CONTROL\)\n$/,
    );
    assert.match(
      leaves.stderr,
      /stuck or stopped; SIGTERM was sent, and ends it gracefully when it goes on;/,
    );
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('a reload during a reload says that it runs after the first one', async () => {
    const script = await startPlain();
    fs.writeFileSync(
      path.join(script.cwd, 'app.js'),
      'exports.begin = (go) => setTimeout(go, 500);',
    );
    script.kill('SIGHUP');
    await script.until('a reload is under way', () => script.errors.includes('reload 1 of 2'));
    assert.match(cluster2(script.cwd, 'status').stdout, /^reload: 0 of 2 workers replaced$/m);
    const { stdout, stderr } = cluster2(script.cwd, 'reload');
    assert.strictEqual(stdout, 'all 2 workers are new\n');
    assert.match(
      stderr,
      /^cluster2: a reload is under way; all workers are replaced once more after it\n/,
    );
    const told =
      /all 2 workers are new; once more, as was asked for meanwhile[^]*all 2 workers are new\n/;
    await script.until('both are reported', () => told.test(script.errors));
  });

  it('a failed reload prints the reason, and exits with 1', async () => {
    const script = await startPlain();
    fs.writeFileSync(path.join(script.cwd, 'app.js'), "throw new Error('bad code')");
    const { status, stdout, stderr } = cluster2(script.cwd, 'reload');
    assert.deepStrictEqual([status, stdout], [1, '']);
    assert.match(
      stderr,
      /^cluster2: the reload failed, .*bad code.*\(CLUSTER2_ERR_RELOAD_FAILED\)\n$/s,
    );
  });

  it('without a cluster, stop and shutdown succeed, and all others exit with 3', () => {
    for (const reason of [
      `there is no directory ${folder}/pids (option 'pids')`,
      `no cluster is running in ${folder}/pids; --pids (option 'pids') names the directory of one that runs elsewhere`,
    ]) {
      for (const args of [
        ['status'],
        ['status', '--watch'],
        ['reload'],
        ['scale', '2'],
        ['ecv', 'enable'],
        ['env', '1'],
        ['reopen-logs'],
      ]) {
        const { stderr, ...rest } = cluster2(folder, ...args);
        assert.deepStrictEqual(rest, NOWHERE, args.join(' '));
        assert.ok(stderr.startsWith(`cluster2: ${reason}`), stderr);
      }
      for (const args of [['stop'], ['shutdown'], ['shutdown', '--wait']]) {
        const { status, stdout, stderr } = cluster2(folder, ...args);
        assert.deepStrictEqual(
          [status, stdout.endsWith(`${reason}\n`), stderr],
          [0, true, ''],
          stdout,
        );
      }
      fs.mkdirSync(path.join(folder, 'pids'), { recursive: true });
    }
  });

  it('find the cluster by --pids, CLUSTER2_PIDS or the configuration file', async () => {
    const script = await startPlain({ flags: ['--pids', path.join(folder, 'here')] });
    assert.strictEqual(cluster2(folder, 'status', '--pids', 'here').status, 0);
    const { status } = spawnSync(CLI, ['status'], {
      cwd: folder,
      env: { ...process.env, CLUSTER2_PIDS: 'here' },
    });
    assert.strictEqual(status, 0);
    fs.writeFileSync(path.join(folder, 'cluster2.json'), '{ "pids": "here" }');
    assert.strictEqual(cluster2(folder, 'status').status, 0);
    assert.strictEqual(cluster2(script.cwd, 'status').status, 3);
  });
});

describe('a closed standard output', () => {
  it('ends a command that would run forever', async () => {
    const script = await startPlain();
    fs.mkdirSync(path.join(script.cwd, 'logs'));
    fs.writeFileSync(path.join(script.cwd, 'logs', 'a.log'), 'line\n');
    for (const command of ['status --watch', 'logs --follow a.log']) {
      const running = spawn('sh', ['-c', `"$0" ${command} | head -n 1`, CLI], {
        cwd: script.cwd,
        stdio: 'ignore',
      });
      // The command notices that its reader is gone when it writes the next line.
      const stopWriting = every(100, () =>
        fs.appendFileSync(path.join(script.cwd, 'logs', 'a.log'), 'more\n'),
      );
      try {
        assert.deepStrictEqual(await within('it ends', once(running, 'exit'), 10_000), [0, null]);
      } finally {
        stopWriting();
      }
    }
  });
});
