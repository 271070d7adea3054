'use strict';

// The `pids` directory: what lies in it is believed only as far as the kernel agrees, so that no innocent process is signalled.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { ask } = require('./helpers/ask');
const { Script, freePort, isAlive, canBecomeAnother } = require('./helpers/cluster');
const { attempt } = require('./helpers/load');
const { until } = require('./helpers/wait');

const NOBODY = 65534;
const START = { env: { CASE: 'server' } };

const makeHome = () => fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));

describe('a pids directory', () => {
  let home, pids, master;
  beforeEach(() => {
    home = makeHome();
    pids = path.join(home, 'pids');
    master = path.join(pids, 'master.pid');
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
    assert.strictEqual(fs.readFileSync(master, 'utf8').split('\n')[0], String(script.pid));
    await ask(home, 'stop');
    await script.ended();
    assert.ok(isAlive(pid), 'it survives');
  }

  it('with the file of a master that is long dead means: nothing runs', async () => {
    fs.writeFileSync(master, '999999\n12345\n');
    await staysUntouched(process.pid);
  });

  it('with a number that belongs to somebody else by now does that process no harm', async () => {
    const { pid } = await innocent();
    fs.writeFileSync(master, `${pid}\n12345\n`);
    await staysUntouched(pid);
  });

  it('with number and start time of a living process, but no lock, does that process no harm', async () => {
    const { pid, startTime } = await innocent();
    fs.writeFileSync(master, `${pid}\n${startTime}\n`);
    fs.writeFileSync(path.join(pids, 'control.sock'), '');
    await staysUntouched(pid);
  });

  for (const nonsense of ['', 'x', '-1\n1\n', '0\n0\n', '1\n1\n', `${'9'.repeat(40)}\n1\n`, '\0\0\n']) {
    it(`with ${JSON.stringify(nonsense).slice(0, 20)} in its file means: nothing runs`, async () => {
      fs.writeFileSync(master, nonsense);
      assert.deepStrictEqual((await ask(home, 'stop')).ok, { running: false });
    });
  }

  it('with a symlink in place of the file: nothing is written through it', async () => {
    const victim = path.join(home, 'victim');
    fs.writeFileSync(victim, 'precious');
    fs.symlinkSync(victim, master);
    assert.deepStrictEqual((await ask(home, 'stop')).ok, { running: false });
    const script = await start();
    assert.deepStrictEqual(await script.ended(), { code: 255, signal: null });
    assert.match(script.errors, /^cluster2: cannot write .*master\.pid: .*\(CLUSTER2_ERR_PIDS_UNWRITABLE\)\n$/);
    assert.strictEqual(fs.readFileSync(victim, 'utf8'), 'precious');
    assert.deepStrictEqual(script.told('forked'), []);
  });

  // As everybody does for a moment who asks for the status, and as anybody may who can read the file.
  it('with a file on which somebody else holds a shared lock is free to be used', async () => {
    fs.writeFileSync(master, '999999\n12345\n');
    const reader = spawn('flock', ['--shared', '--no-fork', master, 'sleep', '60']);
    const gone = once(reader, 'exit');
    const { ino } = fs.statSync(master);
    await until('the lock is held', () => fs.readFileSync('/proc/locks', 'utf8').includes(`:${ino} `));
    const script = await start();
    await script.until('it starts', () => script.told('listening').length > 0 || script.errors !== '');
    reader.kill();
    await gone;
    assert.strictEqual(script.errors, '');
  });

  it('is left by a master that could not start as it was', async () => {
    fs.writeFileSync(path.join(pids, 'notes.txt'), 'mine');
    fs.rmSync(master, { force: true });
    const script = new Script('listens.js', { ...START, cwd: home, options: { port: '/does/not/exist.sock' } });
    await script.ended();
    assert.deepStrictEqual(fs.readdirSync(pids), ['notes.txt']);
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
    const line = `cluster2: cannot write ${script.pids}/master.pid: Permission denied (os error 13) (option 'pids')`;
    assert.strictEqual(script.errors, `${line} (CLUSTER2_ERR_PIDS_UNWRITABLE)\n`);
  });

  it('of another user’s cluster cannot be used to stop it', async () => {
    const script = await new Script('http.js', { port: await freePort() }).ready();
    fs.chmodSync(script.cwd, 0o755);
    for (const [method, ...args] of [['stop'], ['shutdown'], ['scale', 1], ['status']]) {
      const { error } = await ask(script.cwd, method, args, { uid: NOBODY });
      assert.strictEqual(error?.code, 'CLUSTER2_ERR_CONTROL', method);
    }
    assert.strictEqual((await attempt({ port: script.port })).outcome, 'ok');
    assert.strictEqual(script.workers().length, 2);
  });
});
