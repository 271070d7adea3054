'use strict';

// scale(): more or fewer workers, and no client notices.

const assert = require('node:assert');
const { ask } = require('../helpers/ask');
const { request } = require('../helpers/client');
const hammer = require('../helpers/hammer');
const {
  answerOf,
  assertCleanEnd,
  callInMaster,
  change,
  startServer,
} = require('../helpers/hammered');

/** At a signal, the server has as many connections as it may have. */
const SETS_MAX_CONNECTIONS = `
  exports.load = (server) => process.once('SIGUSR2', () => {
    server.getConnections((error, count) => {
      server.maxConnections = count;
      console.log('reached by', count);
    });
  });`;

describe('scale() under load', () => {
  it('up and down, from the master and from another process, loses no request', async () => {
    const script = await startServer();
    const load = hammer.start(script.port);
    await load.answered(100);
    await callInMaster(script, 'scale', 4);
    assert.deepStrictEqual(await answerOf(script, 'scale'), { ok: { before: 2, workers: 4 } });
    await script.ready(4);
    await load.answered(100);
    for (const [before, workers] of [[4, 1], [1, 3], [3, 2]]) {
      assert.deepStrictEqual((await ask(script.cwd, 'scale', [workers])).ok, { before, workers });
      await script.until(`there are ${workers} workers`, () => script.workers().length === workers);
      await load.answered(100);
    }
    hammer.assertClean(await load.stop());
    assert.ok(
      script.emitted('died').every(([, { code, reason }]) => code === 0 && reason === 'scale'),
      script.output,
    );
    script.kill();
    await assertCleanEnd(script);
  });

  it('up lets all workers answer', async () => {
    const script = await startServer({ options: { noWorkers: 1 } });
    await ask(script.cwd, 'scale', [3]);
    await script.ready(3);
    const pids = new Set();
    const asked = async () =>
      pids.add(Number((await request(script.port, '/now/who/0')).body.split(' ').at(-1)));
    await script.until('all have answered', async () => (await asked()).size === 3);
    assert.deepStrictEqual([...pids].sort(), script.workers().sort());
  });

  it('down moves idle connections to the workers that stay', async () => {
    const script = await startServer({ options: { noWorkers: 3 } });
    const load = hammer.start(script.port, { clients: { keepAlive: 40, agent: 10 }, think: 300 });
    await load.answered(150);
    await ask(script.cwd, 'scale', [1]);
    await script.until('two are gone', () => script.workers().length === 1);
    await load.answered(150);
    hammer.assertClean(await load.stop());
  });

  it('down moves idle connections even to a worker that has reached maxConnections', async () => {
    const script = await startServer();
    change(script, SETS_MAX_CONNECTIONS);
    await ask(script.cwd, 'reload');
    await script.until('the old workers are gone', () => script.workers().length === 2);
    const load = hammer.start(script.port, { clients: { keepAlive: 12 }, think: 50 });
    await load.answered(40);
    script.workers().forEach((pid) => process.kill(pid, 'SIGUSR2'));
    const counts = () =>
      [...script.output.matchAll(/reached by (\d+)/g)].map(([, count]) => Number(count));
    await script.until('both have reached it', () => counts().length === 2);
    assert.ok(!counts().includes(0), 'one of them has no connection that could move');
    await ask(script.cwd, 'scale', [1]);
    await script.until('one is gone', () => script.workers().length === 1);
    await load.answered(40);
    hammer.assertClean(await load.stop());
  });

  it('down during a reload: both finish', async () => {
    const script = await startServer({ options: { noWorkers: 3 } });
    const load = hammer.start(script.port);
    await load.answered(50);
    const reload = ask(script.cwd, 'reload');
    await script.until('the reload has begun', () => script.emitted('reloading').length > 0);
    await ask(script.cwd, 'scale', [1]);
    const { ok, error } = await reload;
    assert.ok(ok || error?.code === 'CLUSTER2_ERR_RELOAD_FAILED', JSON.stringify(error));
    await script.until('one is left', () => script.workers().length === 1);
    await load.answered(50);
    hammer.assertClean(await load.stop());
    script.kill();
    await assertCleanEnd(script);
  });

  it('up while workers crash reaches the number', async () => {
    const script = await startServer();
    script.workers().forEach((pid) => process.kill(pid, 'SIGKILL'));
    await ask(script.cwd, 'scale', [4]);
    await script.until('there are four that listen', async () => {
      const status = await script.status();
      return status.workers.filter(({ state }) => state === 'ready').length === 4;
    });
  });
});
