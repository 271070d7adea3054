'use strict';

// Signals to the master, to the process group of the terminal and to a single worker.

const assert = require('node:assert');
const fs = require('node:fs');
const { Script, isAlive } = require('../helpers/cluster');
const { finishAll, holdRequests } = require('../helpers/held-requests');
const { Load, attempt } = require('../helpers/load');
const { freePort } = require('../helpers/ports');

const start = async (settings) =>
  new Script('commands.js', { port: await freePort(), ...settings }).ready();

function assertGracefulEnd(script, end) {
  assert.deepStrictEqual(end, { code: 0, signal: null });
  const deaths = script.emitted('died').map(([, death]) => death);
  assert.deepStrictEqual(deaths, Array(2).fill({ code: 0, signal: null, reason: 'shutdown' }));
  assert.deepStrictEqual(fs.readdirSync(script.pids), []);
  assert.strictEqual(script.errors, '');
}

const toMaster = (script, signal) =>
  script.emitted(signal).filter(([{ type }]) => type === 'master');
const toWorkers = (script, signal) =>
  script
    .emitted(signal)
    .filter(([{ type }]) => type === 'worker')
    .map(([{ pid }]) => pid);

describe('a signal to the master', () => {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    it(`${signal} is a graceful shutdown with exit code 0`, async () => {
      const script = await start();
      const held = await holdRequests(script);
      script.kill(signal);
      await script.until('it is seen', () => toMaster(script, signal).length === 1);
      await finishAll(held);
      assertGracefulEnd(script, await script.ended());
      assert.deepStrictEqual(toMaster(script, signal), [[{ pid: script.pid, type: 'master' }]]);
    });
  }

  it('SIGTERM under load loses no request', async () => {
    const script = await start();
    const load = new Load(script.port, [
      { clients: 6, keepAlive: true },
      { clients: 6 },
      { clients: 2, path: '/slow?100' },
    ]);
    await script.until('there is load', () => load.counts.ok > 100);
    script.kill('SIGTERM');
    await load.refused();
    load.assertOnly('ok', 'refused');
    assertGracefulEnd(script, await script.ended());
  });

  it('a second SIGTERM changes nothing', async () => {
    const script = await start();
    const held = await holdRequests(script);
    script.kill('SIGTERM');
    await script.until('the first is seen', () => toMaster(script, 'SIGTERM').length === 1);
    script.kill('SIGTERM');
    await script.until('the second is seen', () => toMaster(script, 'SIGTERM').length === 2);
    await finishAll(held);
    assertGracefulEnd(script, await script.ended());
  });

  it('while workers start ends everything', async () => {
    const script = new Script('commands.js', { port: await freePort() });
    await script.until('workers are forked', () => script.emitted('forked').length === 2);
    script.kill('SIGTERM');
    assertGracefulEnd(script, await script.ended());
  });
});

describe('Ctrl-C', () => {
  const interrupt = (script) => process.kill(-script.pid, 'SIGINT');

  it('reaches the whole process group and is handled once', async () => {
    const script = await start({ detached: true });
    const workers = script.workers();
    const held = await holdRequests(script);
    interrupt(script);
    await script.until(
      'all are reported',
      () => toMaster(script, 'SIGINT').length === 1 && toWorkers(script, 'SIGINT').length === 2,
    );
    // No worker leaves on its own.
    await finishAll(held);
    assertGracefulEnd(script, await script.ended());
    assert.strictEqual(toMaster(script, 'SIGINT').length, 1);
    assert.deepStrictEqual(
      toWorkers(script, 'SIGINT').sort(),
      workers.sort(),
      'each worker was reported',
    );
  });

  it('twice within half a second counts once; a later one ends everything at once', async () => {
    const script = await start({ detached: true });
    const [held] = await holdRequests(script);
    const begun = performance.now();
    for (const count of [1, 2]) {
      interrupt(script);
      await script.until(
        'the master got the event',
        () => toMaster(script, 'SIGINT').length === count,
      );
    }
    await script.until('half a second is over', () => performance.now() - begun > 600);
    assert.ok(
      script.emitted('died').every(([, { signal }]) => signal === null),
      'nothing was forced so far',
    );
    interrupt(script);
    assert.deepStrictEqual(await script.ended(2000), { code: 0, signal: null });
    await assert.rejects(held.finish(), /not answered/);
    assert.deepStrictEqual(fs.readdirSync(script.pids), []);
  });
});

describe('a signal to one worker', () => {
  it('SIGTERM makes it finish its requests and exit with 0, and it is replaced', async () => {
    const script = await start();
    const held = await holdRequests(script);
    const [leaver, other] = script.workers();
    process.kill(leaver, 'SIGTERM');
    await script.until('its replacement listens', () => script.emitted('listening').length === 3);
    assert.ok(isAlive(leaver), 'before it has left');
    const answers = await finishAll(held);
    assert.deepStrictEqual([...new Set(answers)].sort(), [leaver, other].sort());
    await script.until('it has left', () => script.emitted('died').length === 1);
    assert.deepStrictEqual(script.emitted('died'), [
      [leaver, { code: 0, signal: null, reason: 'leave' }],
    ]);
    assert.deepStrictEqual(toWorkers(script, 'SIGTERM'), [leaver]);
    assert.ok(script.workers().includes(other));
    assert.strictEqual(script.workers().length, 2);
  });

  it('SIGTERM under load loses no request', async () => {
    const script = await start();
    const load = new Load(script.port, [
      { clients: 4, keepAlive: true },
      { clients: 4 },
      { clients: 2, path: '/slow?50', keepAlive: true },
    ]);
    for (let round = 1; round <= 3; round++) {
      const [oldest] = script.workers();
      process.kill(oldest, 'SIGTERM');
      await script.until(
        'it is replaced',
        () =>
          script.emitted('died').length === round &&
          script.emitted('listening').length === 2 + round,
      );
    }
    await load.stop();
    load.assertOnly('ok');
    assert.ok(
      script.emitted('died').every(([, { code, reason }]) => code === 0 && reason === 'leave'),
    );
  });

  it('SIGINT does not end it: the master decides', async () => {
    const script = await start();
    const [first] = script.workers();
    process.kill(first, 'SIGINT');
    await script.until('it is reported', () => toWorkers(script, 'SIGINT').length === 1);
    const seenByWorker = () =>
      script
        .events({ allProcesses: true })
        .filter(([name, info]) => name === 'SIGINT' && info.pid === first);
    await script.until('the worker got the event', () => seenByWorker().length === 2);
    assert.strictEqual((await attempt({ port: script.port })).outcome, 'ok');
    assert.strictEqual(script.workers().length, 2);
    assert.ok(script.workers().includes(first));
  });
});
