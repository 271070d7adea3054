'use strict';

// The `pids` directory: what lies in it is believed only as far as the kernel agrees, so that no innocent process is signalled.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { cluster2 } = require('../helpers/cli');
const { Script, freePort, isAlive, canBecomeAnother, canContain } = require('../helpers/cluster');
const { attempt } = require('../helpers/load');
const { until } = require('../helpers/wait');

const NOBODY = 65534;
const START = { env: { CASE: 'server' } };

const makeHome = () => fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));

describe('a pids directory', () => {
  let home, pids, lock;
  beforeEach(() => {
    home = makeHome();
    pids = path.join(home, 'pids');
    lock = path.join(pids, 'master.lock');
    fs.mkdirSync(pids);
  });
  afterEach(() => fs.rmSync(home, { recursive: true, force: true }));

  const start = async () => new Script('listens.js', { ...START, port: await freePort(), cwd: home });

  async function innocent() {
    const script = new Script('innocent.js');
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

  it('with the file of a master that is long dead means: nothing runs', async () => {
    fs.writeFileSync(lock, 'pid=999999\nstarted=12345\n');
    await staysUntouched(process.pid);
  });

  it('with a number that belongs to somebody else by now does that process no harm', async () => {
    const { pid } = await innocent();
    fs.writeFileSync(lock, `pid=${pid}\nstarted=12345\n`);
    await staysUntouched(pid);
  });

  it('with number and start time of a living process, but no lock, does that process no harm', async () => {
    const { pid, startTime } = await innocent();
    fs.writeFileSync(lock, `pid=${pid}\nstarted=${startTime}\n`);
    fs.writeFileSync(path.join(pids, 'control.sock'), '');
    await staysUntouched(pid);
  });

  const identity = (pid, started) => `pid=${pid}\nstarted=${started}\n`;
  for (const nonsense of ['', 'x', '1\n1\n', identity(-1, 1), identity(0, 0), identity(1, 1), identity('9'.repeat(40), 1), '\0\0\n']) {
    it(`with ${JSON.stringify(nonsense).slice(0, 20)} in its file means: nothing runs`, async () => {
      fs.writeFileSync(lock, nonsense);
      assert.deepStrictEqual((await ask(home, 'stop')).ok, { running: false });
    });
  }

  for (const name of ['master.pid', 'master.lock']) {
    it(`with a symlink in place of ${name}: nothing is written through it`, async () => {
      const victim = path.join(home, 'victim');
      fs.writeFileSync(victim, 'precious');
      fs.symlinkSync(victim, path.join(pids, name));
      const script = await start();
      assert.deepStrictEqual(await script.ended(), { code: 255, signal: null });
      const line = new RegExp(`^cluster2: cannot write .*${name}: .*\\(CLUSTER2_ERR_PIDS_UNWRITABLE\\)\n$`);
      assert.match(script.errors, line);
      assert.strictEqual(fs.readFileSync(victim, 'utf8'), 'precious');
      assert.deepStrictEqual(script.told('forked'), []);
    });
  }

  // A lock of the other kind, as any tool may take for a moment.
  it('with a file on which somebody else holds a shared lock is free to be used', async () => {
    fs.writeFileSync(lock, 'pid=999999\nstarted=12345\n');
    const reader = spawn('flock', ['--shared', '--no-fork', lock, 'sleep', '60']);
    const gone = once(reader, 'exit');
    const { ino } = fs.statSync(lock);
    await until('the lock is held', () => fs.readFileSync('/proc/locks', 'utf8').includes(`:${ino} `));
    const script = await start();
    await script.until('it starts', () => script.told('listening').length > 0 || script.errors !== '');
    reader.kill();
    await gone;
    assert.strictEqual(script.errors, '');
  });

  it('is left by a master that could not start as it was', async () => {
    fs.writeFileSync(path.join(pids, 'notes.txt'), 'mine');
    fs.rmSync(lock, { force: true });
    const script = new Script('listens.js', { ...START, cwd: home, options: { port: '/does/not/exist.sock' } });
    await script.ended();
    assert.deepStrictEqual(fs.readdirSync(pids), ['notes.txt']);
  });
});

describe('the files of a running cluster', () => {
  const start = async (settings) => new Script('http.js', { port: await freePort(), ...settings }).ready();
  const isRefused = async (cwd) => {
    const second = new Script('listens.js', { ...START, port: await freePort(), cwd });
    assert.deepStrictEqual(await second.ended(), { code: 255, signal: null });
    return second.errors;
  };

  it('that end in .pid hold one line, the pid, so that `kill $(cat ...)` hits nobody else', async () => {
    const script = await start();
    const read = (name) => fs.readFileSync(path.join(script.pids, name), 'utf8');
    const names = fs.readdirSync(script.pids).filter((name) => name.endsWith('.pid')).sort();
    assert.deepStrictEqual(names, ['master.pid', ...script.workers().map((pid) => `worker.${pid}.pid`).sort()]);
    const pids = [script.pid, ...script.workers()];
    assert.deepStrictEqual(names.map(read).sort(), pids.map((pid) => `${pid}\n`).sort());
    const others = fs.readdirSync(script.pids).filter((name) => !name.endsWith('.pid') && !name.endsWith('.sock'));
    for (const word of others.flatMap((name) => read(name).split(/\s+/))) assert.doesNotMatch(word, /^\d+$/, 'no number that a script could take for a pid');
    const killing = spawn('sh', ['-c', 'kill $(cat pids/master.pid)'], { cwd: script.cwd });
    assert.deepStrictEqual(await once(killing, 'exit'), [0, null]);
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    assert.deepStrictEqual(fs.readdirSync(script.pids), []);
  });

  const REMOVED = {
    'its control socket': ['control.sock'],
    'its pid file': ['master.pid'],
    'its lock': ['master.lock', 'control.sock'],
    'the notes of its workers': [/^worker\./],
    'the whole directory': ['.'],
  };
  for (const [what, names] of Object.entries(REMOVED)) {
    it(`are there again when somebody removed ${what}, and a second master is refused`, async () => {
      const script = await start();
      const before = fs.readdirSync(script.pids);
      const removed = names.flatMap((name) => (name instanceof RegExp ? before.filter((file) => name.test(file)) : name));
      for (const name of removed) fs.rmSync(path.join(script.pids, name), { recursive: true });
      const all = () => fs.existsSync(script.pids) && fs.readdirSync(script.pids).length === before.length;
      await until('all files are there again', all, 3000);
      assert.deepStrictEqual(fs.readdirSync(script.pids), before);
      assert.match(await isRefused(script.cwd), /CLUSTER2_ERR_ALREADY_RUNNING/);
      assert.strictEqual((await ask(script.cwd, 'status')).ok.master.pid, script.pid);
      assert.strictEqual(cluster2(script.cwd, 'shutdown', '--wait').status, 0);
      assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
      assert.deepStrictEqual(fs.readdirSync(script.pids), []);
    });
  }

  it('are waited for by whoever asks just after somebody removed the control socket', async () => {
    const script = await start();
    fs.rmSync(path.join(script.pids, 'control.sock'));
    assert.strictEqual((await ask(script.cwd, 'status')).ok.master.pid, script.pid);
  });

  for (const [method, ...args] of [['shutdown'], ['shutdown', { wait: true }], ['stop']]) {
    const call = `${method}(${args.map((arg) => JSON.stringify(arg))})`;
    it(`are enough for ${call} where no control socket can be made, which is told`, async () => {
      const script = await start();
      const workers = script.workers();
      fs.rmSync(path.join(script.pids, 'control.sock'));
      fs.mkdirSync(path.join(script.pids, 'control.sock'));
      await script.until('it is told', () => script.told('warning').length > 0);
      assert.match(script.told('warning')[0][0].message, /do not find this cluster any more: .*control\.sock/);
      const { ok } = await ask(script.cwd, method, args);
      assert.deepStrictEqual(ok, { running: true, pid: script.pid });
      if (args.length > 0) assert.ok(!workers.some(isAlive), 'it has waited');
      assert.strictEqual((await script.ended()).code, method === 'stop' ? null : 0);
    });
  }
});

describe('masters in pid namespaces of their own', () => {
  before(function () {
    if (!canContain()) this.skip();
  });

  it('that share a pids directory: the second one is refused, and each command works from outside', async () => {
    const first = await new Script('http.js', { port: await freePort(), container: true }).ready();
    for (const container of [true, false]) {
      const second = new Script('listens.js', { ...START, port: await freePort(), cwd: first.cwd, container });
      assert.strictEqual((await second.ended()).code, 255);
      assert.match(second.errors, /^cluster2: a cluster is already running in \S+ \(CLUSTER2_ERR_ALREADY_RUNNING\)\n$/);
    }
    assert.strictEqual((await ask(first.cwd, 'status')).ok.workers.length, 2);
    assert.deepStrictEqual((await ask(first.cwd, 'scale', [1])).ok, { before: 2, workers: 1 });
    assert.deepStrictEqual((await ask(first.cwd, 'shutdown', [{ wait: true }])).ok, { running: true, pid: 1 });
    await first.ended();
  });

  it('are stopped from outside by their control socket, and nobody who has the number here', async () => {
    const script = await new Script('http.js', { port: await freePort(), container: true }).ready();
    assert.deepStrictEqual((await ask(script.cwd, 'stop')).ok, { running: true, pid: 1 });
    await script.ended();
  });
});

describe('a second master on the same pids directory', () => {
  it('is refused, told who runs there, and harms nobody', async () => {
    const first = await new Script('http.js', { port: await freePort() }).ready();
    const second = new Script('listens.js', { ...START, port: await freePort(), cwd: first.cwd });
    assert.deepStrictEqual(await second.ended(), { code: 255, signal: null });
    const line = `cluster2: a cluster is already running in ${first.pids} (master pid ${first.pid}) (CLUSTER2_ERR_ALREADY_RUNNING)`;
    assert.strictEqual(second.errors, `${line}\n`);
    assert.deepStrictEqual(second.told('forked'), []);
    assert.strictEqual((await attempt({ port: first.port })).outcome, 'ok');
    assert.strictEqual((await ask(first.cwd, 'status')).ok.master.pid, first.pid);
  });
});

describe('a pids directory without permission (needs root, to become another user)', () => {
  let home;
  before(function () {
    if (!canBecomeAnother()) this.skip();
  });
  beforeEach(() => {
    home = makeHome();
    fs.chmodSync(home, 0o755);
  });
  afterEach(() => fs.rmSync(home, { recursive: true, force: true }));

  const start = async () => new Script('listens.js', { ...START, port: await freePort(), cwd: home, uid: NOBODY });

  it('that cannot be made is named', async () => {
    const script = await start();
    assert.deepStrictEqual(await script.ended(), { code: 255, signal: null });
    const line = `cluster2: cannot write ${script.pids}: Permission denied (os error 13) (option 'pids')`;
    assert.strictEqual(script.errors, `${line} (CLUSTER2_ERR_PIDS_UNWRITABLE)\n`);
    assert.deepStrictEqual(script.told('forked'), []);
  });

  it('that cannot be written is named', async () => {
    fs.mkdirSync(path.join(home, 'pids'), { mode: 0o755 });
    const script = await start();
    assert.deepStrictEqual(await script.ended(), { code: 255, signal: null });
    const line = `cluster2: cannot write ${script.pids}/master.lock: Permission denied (os error 13) (option 'pids')`;
    assert.strictEqual(script.errors, `${line} (CLUSTER2_ERR_PIDS_UNWRITABLE)\n`);
  });

  it('that cannot be looked into is named, and nobody says that no cluster runs', async () => {
    const script = await new Script('http.js', { port: await freePort() }).ready();
    const calls = [['stop'], ['shutdown'], ['status'], ['reload'], ['scale', 1]];
    for (const [mode, what] of [[0o700, script.pids], [0o755, path.join(script.pids, 'master.lock')]]) {
      fs.chmodSync(script.cwd, mode);
      for (const [method, ...args] of calls) {
        const options = { pids: script.pids };
        const { error } = await ask(home, method, args, { uid: NOBODY, options });
        assert.strictEqual(error?.code, 'CLUSTER2_ERR_PIDS_UNREADABLE', method);
        assert.ok(error.message.startsWith(`cannot look into ${what}: Permission denied`), error.message);
      }
    }
    assert.deepStrictEqual(script.workers().length, 2);
  });

  it('of another user’s cluster cannot be used to stop it', async () => {
    const script = await new Script('http.js', { port: await freePort() }).ready();
    fs.chmodSync(script.cwd, 0o755);
    for (const [method, ...args] of [['stop'], ['shutdown'], ['scale', 1], ['status']]) {
      const { error } = await ask(script.cwd, method, args, { uid: NOBODY });
      assert.strictEqual(error?.code, 'CLUSTER2_ERR_PIDS_UNREADABLE', method);
    }
    assert.strictEqual((await attempt({ port: script.port })).outcome, 'ok');
    assert.strictEqual(script.workers().length, 2);
  });
});
