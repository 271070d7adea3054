'use strict';

// The files of a running cluster in its `pids` directory: their contents, and how they are restored
// when removed or replaced.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { cluster2 } = require('../helpers/cli');
const { Script, isAlive } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');

const START = { env: { CASE: 'server' } };

describe('the files of a running cluster', () => {
  const start = async (settings) =>
    new Script('http.js', { port: await freePort(), ...settings }).ready();
  const isRefused = async (cwd) => {
    const second = new Script('listen-cases.js', { ...START, port: await freePort(), cwd });
    assert.deepStrictEqual(await second.ended(), { code: 255, signal: null });
    return second.errors;
  };

  it('that end in .pid contain only the pid, for `kill $(cat ...)`', async () => {
    const script = await start();
    const read = (name) => fs.readFileSync(path.join(script.pids, name), 'utf8');
    const names = fs
      .readdirSync(script.pids)
      .filter((name) => name.endsWith('.pid'))
      .sort();
    assert.deepStrictEqual(names, [
      'master.pid',
      ...script
        .workers()
        .map((pid) => `worker.${pid}.pid`)
        .sort(),
    ]);
    const pids = [script.pid, ...script.workers()];
    assert.deepStrictEqual(names.map(read).sort(), pids.map((pid) => `${pid}\n`).sort());
    const others = fs
      .readdirSync(script.pids)
      .filter((name) => !name.endsWith('.pid') && !name.endsWith('.sock'));
    for (const word of others.flatMap((name) => read(name).split(/\s+/)))
      assert.doesNotMatch(word, /^\d+$/, 'no number that a script could take for a pid');
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
    it(`are restored when ${what} is removed, and a second master is refused`, async () => {
      const script = await start();
      const before = fs.readdirSync(script.pids);
      const removed = names.flatMap((name) =>
        name instanceof RegExp ? before.filter((file) => name.test(file)) : name,
      );
      for (const name of removed) fs.rmSync(path.join(script.pids, name), { recursive: true });
      const all = () =>
        fs.existsSync(script.pids) && String(fs.readdirSync(script.pids)) === String(before);
      await until('all files are there again, and no others', all, 3000);
      assert.match(await isRefused(script.cwd), /CLUSTER2_ERR_ALREADY_RUNNING/);
      assert.strictEqual((await ask(script.cwd, 'status')).ok.master.pid, script.pid);
      assert.strictEqual(cluster2(script.cwd, 'shutdown', '--wait').status, 0);
      assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
      assert.deepStrictEqual(fs.readdirSync(script.pids), []);
    });
  }

  it('are waited for by a caller right after the control socket was removed', async () => {
    const script = await start();
    fs.rmSync(path.join(script.pids, 'control.sock'));
    assert.strictEqual((await ask(script.cwd, 'status')).ok.master.pid, script.pid);
  });

  for (const [method, ...args] of [['shutdown'], ['shutdown', { wait: true }], ['stop']]) {
    const call = `${method}(${args.map((arg) => JSON.stringify(arg))})`;
    it(`suffice for ${call} if the control socket cannot be restored`, async () => {
      const script = await start();
      const workers = script.workers();
      fs.rmSync(path.join(script.pids, 'control.sock'));
      fs.mkdirSync(path.join(script.pids, 'control.sock'));
      await script.until('it is reported', () => script.emitted('warning').length > 0);
      assert.match(
        script.emitted('warning')[0][0].message,
        /do not find this cluster any more: .*control\.sock/,
      );
      const { ok } = await ask(script.cwd, method, args);
      assert.deepStrictEqual(ok, { running: true, pid: script.pid });
      if (args.length > 0) assert.ok(!workers.some(isAlive), 'it has waited');
      assert.strictEqual((await script.ended()).code, method === 'stop' ? null : 0);
    });
  }
});

/** The text of a file that another process may remove; `undefined` without one. */
function textOf(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

describe('a replaced file of a running cluster', () => {
  const start = async () => new Script('http.js', { port: await freePort() }).ready();

  const REPLACED = {
    'a symlink': (file, victim) => fs.symlinkSync(victim, file),
    'a file that names a stranger': (file) => fs.writeFileSync(file, `${process.pid}\n`),
  };
  for (const [what, put] of Object.entries(REPLACED)) {
    it(`names the master again if ${what} replaced master.pid`, async () => {
      const script = await start();
      const file = path.join(script.pids, 'master.pid');
      const victim = path.join(script.cwd, 'victim');
      fs.writeFileSync(victim, 'precious');
      // By one rename, so that nobody reads a file that is only partly written.
      put(`${file}.new`, victim);
      fs.renameSync(`${file}.new`, file);
      // The wrong one is removed before another one is made.
      const isOurs = () =>
        fs.lstatSync(file, { throwIfNoEntry: false })?.isFile() &&
        textOf(file) === `${script.pid}\n`;
      await until('it names the master', isOurs, 3000);
      assert.strictEqual(fs.readFileSync(victim, 'utf8'), 'precious');
      assert.deepStrictEqual(script.emitted('warning'), []);
    });
  }

  it('that cannot be written causes a warning, and is written as soon as possible', async () => {
    const script = await start();
    const [pid] = script.workers();
    const file = path.join(script.pids, `worker.${pid}.pid`);
    fs.rmSync(file);
    fs.mkdirSync(file);
    fs.rmSync(path.join(script.pids, `worker.${pid}.start`));
    await script.until('it is reported', () => script.emitted('warning').length > 0);
    assert.match(
      script.emitted('warning')[0][0].message,
      /^others do not find all workers of this cluster: cannot write .*worker/,
    );
    fs.rmdirSync(file);
    await until(
      'it is there',
      () => fs.existsSync(file) && fs.readFileSync(file, 'utf8') === `${pid}\n`,
      3000,
    );
  });
});
