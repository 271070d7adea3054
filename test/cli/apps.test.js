'use strict';

// Several apps in one cluster2.json: one parent, a master for each, and commands for one or all.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { cluster2 } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { CLI, childrenOf, isAlive } = require('../helpers/cluster');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { freePorts } = require('../helpers/ports');
const { until, within } = require('../helpers/wait');

const SERVER = `require('http').createServer((q, a) => a.end(process.env.APP)).listen(process.env.PORT);`;

describe('several apps in one file', () => {
  let folder, parent, errors, ports;
  beforeEach(async () => {
    folder = emptyFolder();
    const first = await freePorts(4);
    ports = [0, 1, 2, 3].map((at) => first + at);
    write('server.js', SERVER);
    write('jobs.js', 'setInterval(() => {}, 1000);');
    const api = { exec: 'server.js', env: { APP: 'api', PORT: ports[0] } };
    const jobs = { exec: 'jobs.js', listen: false, noWorkers: 1 };
    const common = { noWorkers: 2, minReadyTime: 50, monPort: ports[1] };
    write('cluster2.json', JSON.stringify({ ...common, apps: { api, jobs } }));
  });
  afterEach(async () => {
    if (parent && parent.exitCode === null && parent.signalCode === null) {
      const family = [parent.pid, ...childrenOf(parent.pid)];
      for (const pid of [...family, ...family.flatMap(childrenOf)]) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // Gone.
        }
      }
      await once(parent, 'exit');
    }
    parent = undefined;
    removeFolders();
  });
  const write = (name, text) => fs.writeFileSync(path.join(folder, name), text);
  const run = (...args) => cluster2(folder, ...args);
  const status = (name) => JSON.parse(run('status', name, '--json').stdout || '{}');
  const ready = (name) =>
    (status(name).workers ?? []).filter(({ state }) => state === 'ready').length;

  /** Starts the parent, and waits for all workers. */
  async function start(env = {}) {
    errors = '';
    const settings = { cwd: folder, env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] };
    parent = spawn(CLI, ['start'], settings);
    parent.stderr.on('data', (text) => (errors += text));
    await until('all are ready', () => ready('api') === 2 && ready('jobs') === 1, 20_000);
  }
  const ended = () =>
    within('the parent ends', parent.exitCode === null ? once(parent, 'close') : [parent.exitCode, null]);

  it('run under one parent, each with its directory and monitor, until SIGTERM', async () => {
    await start();
    const masters = childrenOf(parent.pid);
    assert.strictEqual(masters.length, 2);
    assert.strictEqual((await request(ports[0], '/')).body, 'api');
    assert.deepStrictEqual(fs.readdirSync(path.join(folder, 'pids')).sort(), ['api', 'jobs']);
    const monitors = ['api', 'jobs'].map((name) => status(name).master.monitor);
    assert.deepStrictEqual(monitors, [`127.0.0.1:${ports[1]}`, `127.0.0.1:${ports[2]}`]);
    assert.strictEqual(status('jobs').master.name, 'jobs');
    parent.kill();
    assert.deepStrictEqual(await ended(), [0, null], errors);
    assert.ok(!masters.some(isAlive));
    const lines = errors.trimEnd().split('\n');
    assert.ok(lines.every((line) => /^\d{4}-\S+Z cluster2: /.test(line)), errors);
    assert.match(lines[0], /Z cluster2: 2 apps, parent \d+: api, jobs$/);
  });

  it('take commands for one, or for all in turn', async () => {
    await start();
    assert.strictEqual(run('reload', 'api').stdout, 'all 2 workers are new\n');
    assert.strictEqual(run('reload').stdout, 'api:\nall 2 workers are new\njobs:\nits worker is new\n');
    assert.match(run('restart', 'jobs').stdout, /^restarted: 1 worker of master \d+ ready$/m);
    assert.match(run('scale', '3', '--app', 'jobs').stdout, /from 1 to 3 workers/);
    assert.match(run('status').stdout, /^api:\n[^]*^jobs:\n/m);
    const { status: code, stderr } = run('scale', '3');
    assert.deepStrictEqual([code, stderr], [2, 'cluster2: which app? Name it by --app: api, jobs\n']);
    assert.match(run('status', '--app', 'x').stderr, /has no app x; the apps are: api, jobs/);
    assert.match(run('shutdown', 'jobs', '--wait').stdout, /has ended/);
    assert.strictEqual((await request(ports[0], '/')).body, 'api');
    assert.match(run('shutdown', 'api', '--wait').stdout, /has ended/);
    assert.deepStrictEqual(await ended(), [0, null], errors);
  });

  it('can be started one by one, by name', async () => {
    errors = '';
    parent = spawn(CLI, ['start', 'jobs'], { cwd: folder, stdio: 'ignore' });
    await until('it is ready', () => ready('jobs') === 1);
    assert.strictEqual(status('api').running, false);
    parent.kill();
    assert.deepStrictEqual(await ended(), [0, null]);
  });

  it('start again when their master fails', async () => {
    await start();
    const { pid } = status('jobs').master;
    process.kill(pid, 'SIGKILL');
    await until('another one is ready', () => ready('jobs') === 1 && status('jobs').master.pid !== pid);
    assert.match(errors, /app jobs ended with signal: 9 \(SIGKILL\); it is started again in 1 s/);
    assert.strictEqual((await request(ports[0], '/')).body, 'api');
    parent.kill();
    assert.strictEqual((await ended())[0], 0, errors);
  });

  it('that have failed do not start again once a command ends them; status says so', async () => {
    await start();
    // The second wait is 2 s.
    for (const seconds of [1, 2]) {
      await until('it is ready', () => ready('jobs') === 1);
      process.kill(status('jobs').master.pid, 'SIGKILL');
      await until('it waits', () => errors.includes(`it is started again in ${seconds} s`));
    }
    const shown = run('status', 'jobs');
    assert.deepStrictEqual([shown.status, /; its parent starts it again\n$/.test(shown.stderr)], [3, true]);
    const stopped = run('stop', 'jobs');
    assert.deepStrictEqual(
      [stopped.status, stopped.stdout], [0, 'it had failed, and is not started again\n'],
    );
    await until('the parent knows', () =>
      errors.includes('app jobs is not started again: a command ended it'));
    assert.match(run('status', 'jobs').stderr, /no cluster is running in \S+; --pids .*\n$/);
    assert.strictEqual(run('stop', 'api').status, 0);
    assert.deepStrictEqual(await ended(), [0, null], errors);
  });

  it('are refused by another parent while they run', async () => {
    await start();
    const { status: code, stderr } = run('start');
    assert.strictEqual(code, 255);
    assert.match(stderr, /app api runs already, with master \d+; nothing was started/);
    parent.kill();
    assert.deepStrictEqual(await ended(), [0, null]);
  });

  it('with a wrong option start nothing', () => {
    write('cluster2.json', JSON.stringify({ apps: { api: { exec: 'server.js' }, bad: { nope: 1 } } }));
    const { status: code, stderr } = run('start');
    assert.strictEqual(code, 2);
    assert.match(stderr, /option 'nope' is unknown/);
    assert.strictEqual(fs.existsSync(path.join(folder, 'pids')), false);
  });

  it('are left alone by a command with a mistyped name', async () => {
    await start();
    for (const command of ['stop', 'shutdown', 'reload', 'restart', 'status', 'start', 'check']) {
      const { status: code, stderr } = run(command, 'apii');
      assert.strictEqual(code, 2, command);
      assert.match(stderr, /^cluster2: cluster2\.json has no app apii; the apps are: api, jobs$/m);
    }
    assert.deepStrictEqual([ready('api'), ready('jobs')], [2, 1]);
    write('cluster2.json', '{}');
    // `--pids` finds the app without the file.
    assert.match(run('stop', 'api', '--pids', 'pids/api').stdout, /are gone/);
    const { status: code, stderr } = run('stop', 'jobs');
    assert.strictEqual(code, 2);
    assert.match(stderr, /there is no app jobs: cluster2\.json .*leave the name out/);
  });

  it('with a name that leaves the directory, or with no script, start nothing', () => {
    const failure = (apps, command = 'start') => {
      write('cluster2.json', JSON.stringify({ apps }));
      const { status: code, stderr } = run(command);
      assert.strictEqual(code, 2, stderr);
      assert.strictEqual(fs.existsSync(path.join(folder, 'pids')), false);
      return stderr;
    };
    const app = { exec: 'server.js' };
    for (const name of ['../../x', '.', '', '--port', 'a/b', 'a\nb'])
      assert.match(failure({ [name]: app }), /the name of an app must be that of a directory/);
    assert.match(failure({ a: app, b: { exec: 'no.js' } }), /app b: there is no script .*no\.js/);
    for (const command of ['start', 'check']) {
      const equal = (options) => {
        const both = { ...app, ...options };
        return failure({ a: both, b: both }, command);
      };
      assert.match(equal({ pids: 'p' }), /apps a and b both have the directory .*p \(option 'pids'\)/);
      assert.match(equal({ port: ports[0] }), /both have port \d+ \(option 'port'\); give each its own/);
      assert.match(equal({ monPort: ports[1] }), /both have port \d+ \(option 'monPort'\)/);
    }
  });
});
