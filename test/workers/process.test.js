'use strict';

// A worker is the user's script in a process that looks like one of node:cluster, and whose
// children inherit nothing of ours.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const Cluster = require('../..');
const { ask } = require('../helpers/ask');
const { Script } = require('../helpers/cluster');
const { change, startServer } = require('../helpers/hammered');
const { freePort } = require('../helpers/ports');

const FIXTURE = path.join(__dirname, '..', 'fixtures', 'worker-environment.js');

/** Returns what the worker of a new cluster sees. */
async function look(settings) {
  const script = new Script('worker-environment.js', { port: await freePort(), ...settings });
  const seen = () => script.events({ allProcesses: true }).find(([name]) => name === 'seen');
  await script.until(
    'the worker has looked',
    () => seen() && script.emitted('listening').length > 0,
  );
  return { ...seen()[1], script };
}

describe('a worker', () => {
  it('is a worker of node:cluster', async () => {
    const { isWorker, id, send } = await look();
    assert.strictEqual(isWorker, true);
    assert.strictEqual(id, 1);
    assert.strictEqual(send, 'function');
  });

  it('runs with script, arguments, flags, directory and environment of its master', async () => {
    const settings = {
      args: ['--verbose', 'with space', 'ü'],
      execArgv: ['--no-warnings', '--stack-size=900'],
      env: { GIVEN: 'yes' },
    };
    const { args, execArgv, cwd, given, script } = await look(settings);
    assert.deepStrictEqual(args, settings.args);
    assert.deepStrictEqual(execArgv, settings.execArgv, 'and nothing of ours');
    assert.strictEqual(cwd, fs.realpathSync(script.cwd));
    assert.strictEqual(given, 'yes');
  });

  it('sees none of our variables except its number, nor do its children', async () => {
    const { env, forked, thread } = await look();
    const number = ['CLUSTER2_SLOT'];
    assert.deepStrictEqual(
      { env, forked: forked.env, thread: thread.env },
      { env: number, forked: number, thread: number },
    );
  });

  it('leaks no descriptor to its children', async () => {
    const { fds } = await look();
    assert.deepStrictEqual(
      fds.map((line) => line.split(' ')[0]),
      ['0', '1', '2', '3'],
      fds.join('\n'),
    );
    assert.match(fds[3], /\/proc\/\d+\/fd$/, 'the directory that ls itself looks at');
  });

  it('writes to the output of its master', async () => {
    const { script } = await look({ env: { GIVEN: 'yes' } });
    const [worker] = script.workers();
    for (const fd of [0, 1, 2]) {
      assert.strictEqual(
        fs.readlinkSync(`/proc/${worker}/fd/${fd}`),
        fs.readlinkSync(`/proc/${script.pid}/fd/${fd}`),
        String(fd),
      );
    }
  });

  it('runs no JavaScript of ours without connections, and still counts as alive', async () => {
    // Counts from the first signal, after the start, to the second one, which is itself one turn.
    const count = `
      let turns = 0;
      const hook = require('node:async_hooks').createHook({ before: () => turns++ });
      const tell = () => console.log('event ' + JSON.stringify({ from: process.pid, event: ['turns', turns] }));
      process.on('SIGUSR2', () => (turns > 0 ? tell() : hook.enable()));`;
    const script = await startServer({
      options: { noWorkers: 1, maxHeartbeatDelay: 2000, heartbeatInterval: 60_000 },
    });
    change(script, count);
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
    const [, [worker]] = await script.until(
      'it is reported',
      () => script.emitted('listening')[1] && script.emitted('listening'),
    );
    const cpu = async () =>
      (await new Cluster({ pids: script.pids }).status()).workers.find(({ pid }) => pid === worker)
        .cpu;
    process.kill(worker, 'SIGUSR2');
    // Each beat reports a new processor time.
    for (let beats = 0, last = await cpu(); beats < 8; beats += 1) {
      await script.until('the next beat', async () => (await cpu()) !== last);
      last = await cpu();
    }
    process.kill(worker, 'SIGUSR2');
    const [, turns] = await script.until('it has counted', () =>
      script.events({ allProcesses: true }).find(([name]) => name === 'turns'),
    );
    assert.strictEqual(turns, 1);
    assert.deepStrictEqual(script.emitted('unresponsive'), []);
  });

  it('may fork, and the child is not a worker', async () => {
    const { forked } = await look({ execArgv: ['--no-warnings'] });
    assert.deepStrictEqual(forked, {
      isWorker: false,
      args: ['forked'],
      execArgv: ['--no-warnings'],
      env: ['CLUSTER2_SLOT'],
    });
  });

  it('may start threads, which are not workers', async () => {
    const { thread } = await look({ execArgv: ['--no-warnings'] });
    assert.strictEqual(thread.isWorker, false);
    assert.deepStrictEqual(thread.execArgv, ['--no-warnings']);
  });

  it('ends with its master, and so does everything else', async () => {
    const { script } = await look();
    const [worker] = script.workers();
    script.kill('SIGTERM');
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    assert.ok(!fs.existsSync(`/proc/${worker}`));
  });
});

describe('the options for the start of a worker', () => {
  it('args', async () => {
    const { args } = await look({ args: ['of the master'], options: { args: ['a', 5, ''] } });
    assert.deepStrictEqual(args, ['a', '5', '']);
  });

  it('execArgv', async () => {
    const { execArgv, forked } = await look({
      execArgv: ['--no-warnings'],
      options: { execArgv: ['--stack-size=900'] },
    });
    assert.deepStrictEqual(execArgv, ['--stack-size=900']);
    assert.deepStrictEqual(forked.execArgv, ['--stack-size=900']);
  });

  it('env adds to the master’s', async () => {
    const { given, script } = await look({
      env: { GIVEN: 'by the master' },
      options: { env: { GIVEN: 'by the option' } },
    });
    assert.strictEqual(given, 'by the option');
    const variables = fs.readFileSync(`/proc/${script.workers()[0]}/environ`, 'utf8').split('\0');
    assert.ok(variables.includes(`PATH=${process.env.PATH}`));
  });

  it('env cannot change what makes a process a worker', async () => {
    const { id, isWorker } = await look({
      options: { env: { NODE_UNIQUE_ID: '77', NODE_CHANNEL_FD: '1', CLUSTER2_WORKER: '{}' } },
    });
    assert.deepStrictEqual([id, isWorker], [1, true]);
  });

  it('cwd: the script is still found, and the pids directory stays the master’s', async () => {
    const { cwd, script } = await look({ options: { cwd: '/' } });
    assert.strictEqual(cwd, '/');
    assert.ok(fs.existsSync(path.join(script.pids, `worker.${script.workers()[0]}.pid`)));
    assert.ok(!fs.existsSync('/pids'));
  });

  it('exec: another script', async () => {
    const port = await freePort();
    const script = new Script('http.js', { port, options: { exec: FIXTURE, noWorkers: 1 } });
    const seen = () => script.events({ allProcesses: true }).filter(([name]) => name === 'seen');
    await script.until(
      'the other script runs as the worker',
      () => seen().length === 1 && script.emitted('listening').length === 1,
    );
    assert.strictEqual(seen()[0][1].isWorker, true);
  });
});
