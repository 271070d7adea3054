'use strict';

// Workers that do not listen (`--no-listen`, `listen: false`): when they are ready, how they end,
// and that they are supervised as servers are.

const assert = require('node:assert');
const { cluster2, statusOf } = require('../helpers/cli');
const { Script, isAlive } = require('../helpers/cluster');
const { until } = require('../helpers/wait');

/** Starts two workers. */
function start(task = [], { flags = [], api, env } = {}) {
  const cli = ['--no-listen', '--workers', '2', '--mon-port', 'off', ...flags];
  const settings = { env: { TASK: JSON.stringify({ task, api }), ...env } };
  return new Script('task.js', api ? settings : { ...settings, cli }).ready();
}
const said = (script, name) =>
  script.events({ allProcesses: true }).filter(([first]) => first === name);
const gone = (script) => script.errors.match(/worker \d+ is gone \(.*\)/g) ?? [];

describe('a worker that does not listen', () => {
  it('is ready after minReadyTime, and the cluster listens nowhere', async () => {
    const script = await start([], { flags: ['--min-ready-time', '100ms'] });
    assert.match(script.errors, /worker \d+ is ready\n/);
    assert.deepStrictEqual(statusOf(script.cwd).master.listening, []);
  });

  it('is ready when it says so', async () => {
    await start(['send'], { flags: ['--min-ready-time', '20s'] });
  });

  for (const how of ['SIGTERM', 'SIGINT', 'disconnect']) {
    it(`is told to end by ${how}, and finishes its work`, async () => {
      const script = await start([how]);
      script.kill();
      assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
      assert.deepStrictEqual(said(script, 'told'), [['told', how], ['told', how]]);
      assert.strictEqual(said(script, 'done').length, 2);
      assert.strictEqual(gone(script).filter((line) => /shutdown, exit code 0/.test(line)).length, 2);
    });
  }

  it('that handles nothing ends by itself, with the event exit', async () => {
    const script = await start();
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
    assert.strictEqual(said(script, 'exit').length, 2);
  });

  it('that does not end is killed after shutdownTimeout', async () => {
    const script = await start(['never'], { flags: ['--shutdown-timeout', '300ms'] });
    script.kill();
    await script.ended();
    assert.deepStrictEqual(said(script, 'told').length, 2);
    assert.strictEqual(gone(script).filter((line) => /SIGKILL/.test(line)).length, 2);
  });

  it('is told once when it gets the signal itself, and is replaced meanwhile', async () => {
    const script = await start(['SIGTERM', 'disconnect']);
    const [worker] = script.workers();
    process.kill(worker, 'SIGTERM');
    await script.ready(3);
    await until('it is gone', () => !isAlive(worker));
    await script.until('its end is reported', () => gone(script).length === 1);
    assert.match(gone(script)[0], /\(leave, exit code 0\)/);
    assert.deepStrictEqual(said(script, 'told').sort(), [['told', 'SIGTERM'], ['told', 'disconnect']]);
  });

  it('ends when its master is gone', async () => {
    const script = await start(['SIGTERM']);
    const workers = script.workers();
    script.kill('SIGKILL');
    await until('the orphans are gone', () => !workers.some(isAlive));
    await script.until('both have finished', () => said(script, 'done').length >= 2);
    assert.deepStrictEqual(said(script, 'done').length, 2);
  });

  it('is reloaded and scaled as a server is', async () => {
    const script = await start(['SIGTERM']);
    const before = script.workers();
    assert.strictEqual(cluster2(script.cwd, 'reload').stdout, 'all 2 workers are new\n');
    await until('the old ones are gone', () => !before.some(isAlive));
    assert.match(cluster2(script.cwd, 'scale', '+1').stdout, /from 2 to 3 workers/);
    await script.ready(5);
    assert.match(cluster2(script.cwd, 'scale', '-2').stdout, /from 3 to 1 worker\n/);
    await until('two are gone', () => script.workers().length === 1);
    await script.until('all have finished', () => said(script, 'done').length >= 4);
    assert.strictEqual(said(script, 'done').length, 4);
  });

  it('is replaced when it hangs', async () => {
    const script = await start(['block'], { flags: ['--max-heartbeat-delay', '1s'] });
    process.kill(script.workers()[0], 'SIGUSR2');
    await script.ready(3);
    assert.match(script.errors, /worker \d+ hangs/);
  });

  it('is recycled', async () => {
    const script = await start([], { flags: ['--mem-threshold', '1M'] });
    await script.until('it is', () => /is gone \(recycle, exit code 0\)/.test(script.errors));
  });

  it('is refused with a port', () => {
    const { status, stderr } = cluster2('/', 'start', 'x.js', '--no-listen', '--port', '80');
    assert.deepStrictEqual(
      [status, stderr],
      [2, "cluster2: --port must be left out where 'listen' is false; got a port\n"],
    );
  });
});

describe('listen: false', () => {
  it('runs createApp in workers only, which are ready when it calls back', async () => {
    const script = await start(['SIGTERM'], { api: { minReadyTime: 20_000 } });
    assert.strictEqual(said(script, 'works').length, 2);
    assert.ok(said(script, 'works').every(([, slot]) => slot !== undefined));
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
    assert.strictEqual(said(script, 'done').length, 2);
  });

  it('runs it in this process without workers', async () => {
    const script = new Script('task.js', {
      env: { TASK: JSON.stringify({ task: ['SIGTERM'], api: { cluster: false } }) },
    });
    await script.until('it works', () => said(script, 'works').length === 1);
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
    assert.strictEqual(said(script, 'done').length, 1);
  });
});

describe('the number of a worker', () => {
  const numbers = (script) => said(script, 'works').map(([, ...values]) => values).sort();

  it('is its slot, in CLUSTER2_SLOT and NODE_APP_INSTANCE, also after a reload', async () => {
    const script = await start();
    assert.deepStrictEqual(numbers(script), [['0', '0'], ['1', '1']]);
    assert.strictEqual(cluster2(script.cwd, 'reload').status, 0);
    await script.until('all have said theirs', () => numbers(script).length === 4);
    assert.deepStrictEqual(numbers(script), [['0', '0'], ['0', '0'], ['1', '1'], ['1', '1']]);
  });

  it('leaves a NODE_APP_INSTANCE that is set', async () => {
    const script = await start([], { env: { NODE_APP_INSTANCE: 'mine', CLUSTER2_SLOT: '9' } });
    assert.deepStrictEqual(numbers(script), [['0', 'mine'], ['1', 'mine']]);
  });
});
