'use strict';

// The `pids` directory: its files are trusted only as far as the kernel confirms them, so that no
// unrelated process is signalled.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { Script, isAlive, canContain } = require('../helpers/cluster');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { attempt } = require('../helpers/load');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');

const START = { env: { CASE: 'server' } };

describe('a pids directory', () => {
  let home, pids, lock;
  beforeEach(() => {
    home = emptyFolder();
    pids = path.join(home, 'pids');
    lock = path.join(pids, 'master.lock');
    fs.mkdirSync(pids);
  });
  afterEach(removeFolders);

  const start = async () =>
    new Script('listen-cases.js', { ...START, port: await freePort(), cwd: home });

  async function innocent() {
    const script = new Script('unrelated-process.js');
    await script.until('it runs', () => script.output !== '');
    return { pid: script.pid, startTime: script.output.trim() };
  }

  async function staysUntouched(pid) {
    for (const method of ['stop', 'shutdown', 'status']) {
      assert.deepStrictEqual((await ask(home, method)).ok, { running: false }, method);
    }
    const script = await (await start()).ready();
    assert.strictEqual(fs.readFileSync(path.join(pids, 'master.pid'), 'utf8'), `${script.pid}\n`);
    await ask(home, 'stop');
    await script.ended();
    assert.ok(isAlive(pid), 'it survives');
  }

  it('with the file of a dead master: no cluster runs', async () => {
    fs.writeFileSync(lock, 'pid=999999\nstarted=12345\n');
    await staysUntouched(process.pid);
  });

  it('with a pid that belongs to another process now does not harm that process', async () => {
    const { pid } = await innocent();
    fs.writeFileSync(lock, `pid=${pid}\nstarted=12345\n`);
    await staysUntouched(pid);
  });

  it('with pid and start time of a living process, but no lock, does not harm it', async () => {
    const { pid, startTime } = await innocent();
    fs.writeFileSync(lock, `pid=${pid}\nstarted=${startTime}\n`);
    fs.writeFileSync(path.join(pids, 'control.sock'), '');
    await staysUntouched(pid);
  });

  const identity = (pid, started) => `pid=${pid}\nstarted=${started}\n`;
  for (const nonsense of [
    '',
    'x',
    '1\n1\n',
    identity(-1, 1),
    identity(0, 0),
    identity(1, 1),
    identity('9'.repeat(40), 1),
    '\0\0\n',
  ]) {
    it(`with ${JSON.stringify(nonsense).slice(0, 20)} in its lock: no cluster runs`, async () => {
      fs.writeFileSync(lock, nonsense);
      assert.deepStrictEqual((await ask(home, 'stop')).ok, { running: false });
    });
  }

  for (const name of ['master.pid', 'master.lock']) {
    it(`with a symlink in place of ${name}: its target is not written`, async () => {
      const victim = path.join(home, 'victim');
      fs.writeFileSync(victim, 'precious');
      fs.symlinkSync(victim, path.join(pids, name));
      const script = await start();
      assert.deepStrictEqual(await script.ended(), { code: 255, signal: null });
      const line = new RegExp(
        `^cluster2: cannot write .*${name}: .*\\(CLUSTER2_ERR_PIDS_UNWRITABLE\\)\n$`,
      );
      assert.match(script.untimed, line);
      assert.strictEqual(fs.readFileSync(victim, 'utf8'), 'precious');
      assert.deepStrictEqual(script.emitted('forked'), []);
    });
  }

  // Any tool may take a shared lock for a moment.
  it('with a shared lock of another process on its file can be used', async () => {
    fs.writeFileSync(lock, 'pid=999999\nstarted=12345\n');
    const reader = spawn('flock', ['--shared', '--no-fork', lock, 'sleep', '60']);
    const gone = once(reader, 'exit');
    const { ino } = fs.statSync(lock);
    await until('the lock is held', () =>
      fs.readFileSync('/proc/locks', 'utf8').includes(`:${ino} `),
    );
    const script = await start();
    await script.until(
      'it starts',
      () => script.emitted('listening').length > 0 || script.errors !== '',
    );
    reader.kill();
    await gone;
    assert.strictEqual(script.errors, '');
  });

  it('is not changed by a master that could not start', async () => {
    fs.writeFileSync(path.join(pids, 'notes.txt'), 'mine');
    fs.rmSync(lock, { force: true });
    const script = new Script('listen-cases.js', {
      ...START,
      cwd: home,
      options: { port: '/does/not/exist.sock' },
    });
    await script.ended();
    assert.deepStrictEqual(fs.readdirSync(pids), ['notes.txt']);
  });
});

describe('masters in pid namespaces of their own', () => {
  before(function () {
    if (!canContain()) this.skip();
  });

  it('that share a pids directory: the second is refused, commands work from outside', async () => {
    const first = await new Script('http.js', { port: await freePort(), container: true }).ready();
    for (const container of [true, false]) {
      const second = new Script('listen-cases.js', {
        ...START,
        port: await freePort(),
        cwd: first.cwd,
        container,
      });
      assert.strictEqual((await second.ended()).code, 255);
      assert.match(
        second.untimed,
        /^cluster2: a cluster is already running in \S+ \(CLUSTER2_ERR_ALREADY_RUNNING\)\n$/,
      );
    }
    assert.strictEqual((await ask(first.cwd, 'status')).ok.workers.length, 2);
    assert.deepStrictEqual((await ask(first.cwd, 'scale', [1])).ok, { before: 2, workers: 1 });
    assert.deepStrictEqual((await ask(first.cwd, 'shutdown', [{ wait: true }])).ok, {
      running: true,
      pid: 1,
    });
    await first.ended();
  });

  it('are stopped by their control socket, without a signal to their pid here', async () => {
    const script = await new Script('http.js', { port: await freePort(), container: true }).ready();
    assert.deepStrictEqual((await ask(script.cwd, 'stop')).ok, { running: true, pid: 1 });
    await script.ended();
  });
});

describe('a second master on the same pids directory', () => {
  it('is refused with the pid of the first, which goes on', async () => {
    const first = await new Script('http.js', { port: await freePort() }).ready();
    const second = new Script('listen-cases.js', {
      ...START,
      port: await freePort(),
      cwd: first.cwd,
    });
    assert.deepStrictEqual(await second.ended(), { code: 255, signal: null });
    const line = `cluster2: a cluster is already running in ${first.pids} (master pid ${first.pid}) (CLUSTER2_ERR_ALREADY_RUNNING)`;
    assert.strictEqual(second.untimed, `${line}\n`);
    assert.deepStrictEqual(second.emitted('forked'), []);
    assert.strictEqual((await attempt({ port: first.port })).outcome, 'ok');
    assert.strictEqual((await ask(first.cwd, 'status')).ok.master.pid, first.pid);
  });
});
