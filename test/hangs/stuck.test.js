'use strict';

// A worker whose event loop does not turn is shown as stuck, with what it uses, wherever a status
// is shown.

const assert = require('node:assert');
const { statusOf, cluster2 } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { startServer } = require('../helpers/hammered');
const { freePort } = require('../helpers/ports');
const { elapse, until } = require('../helpers/wait');

/** Starts a cluster with a monitor, and blocks `count` of its workers for 20 s. */
async function startBlocked({ noWorkers, count, ...options }) {
  const monPort = await freePort();
  const script = await startServer({ options: { noWorkers, monPort, ...options } });
  const blocking = () =>
    script.events({ allProcesses: true }).filter(([name]) => name === 'blocking');
  for (let blocked = 1; blocked <= count; blocked++) {
    request(script.port, '/block/b/20000').catch(() => {});
    await script.until('a worker is blocked', () => blocking().length === blocked);
  }
  return { script, monPort, pids: blocking().map(([, pid]) => pid) };
}

const get = async (port, path, headers) => request(port, path, { headers });

describe('a worker whose event loop does not turn', () => {
  it('is stuck in status, table, page and metrics, with its present numbers', async () => {
    const { script, monPort, pids } = await startBlocked({ noWorkers: 2, count: 1 });
    const find = async () => {
      const { workers } = await script.status();
      return workers.find(({ state }) => state === 'stuck');
    };
    const stuck = await script.until('a worker is stuck', find);
    assert.strictEqual(stuck.pid, pids[0]);
    assert.ok(stuck.stuckFor >= 1000 && stuck.stuckFor < 4000, `${stuck.stuckFor}`);
    assert.ok(stuck.eventLoopDelay >= 1000, `${stuck.eventLoopDelay}`);
    await script.until('its processor time grows', async () => (await find()).cpu > stuck.cpu + 50);
    assert.ok(stuck.rss > 1e6, `${stuck.rss}`);

    const other = statusOf(script.cwd).workers.find(({ pid }) => pid !== stuck.pid);
    assert.deepStrictEqual([other.state, other.stuckFor], ['ready', null]);
    const { stdout } = cluster2(script.cwd, 'status');
    assert.match(stdout, /: 1 of 2 workers are ready$/m);
    assert.match(stdout, new RegExp(`^\\d +${stuck.pid} .*stuck \\d+s`, 'm'));

    const label = `slot="${stuck.slot}"`;
    const { body: metrics } = await get(monPort, '/metrics');
    assert.match(metrics, new RegExp(`^cluster2_worker_state{${label},state="stuck"} 1$`, 'm'));
    assert.match(metrics, new RegExp(`^cluster2_worker_state{${label},state="ready"} 0$`, 'm'));
    assert.match(metrics, new RegExp(`^cluster2_worker_stuck_seconds{${label}} [1-9]`, 'm'));
    assert.match(metrics, /^cluster2_worker_stuck_seconds{.*} 0.0$/m);
    await until('the page shows it', async () =>
      /class="state stuck">stuck \d/.test((await get(monPort, '/')).body),
    );
    const { status } = await get(monPort, '/ecv');
    assert.strictEqual(status, 200, 'another worker serves the address');
  });

  it('is stuck since the block began, even if it was idle before and beat seldom', async () => {
    const script = await startServer({ options: { noWorkers: 1 } });
    await elapse(2500, 'two beats without a turn between them');
    const [began, done] = [performance.now(), request(script.port, '/block/b/2500')];
    const stuckFor = async () => (await script.status()).workers[0].stuckFor;
    const age = await script.until('it is stuck', stuckFor);
    // Its last beat was at most one sample before the block.
    const most = performance.now() - began + 1000;
    assert.ok(age <= most + 250, `${age} of ${most}`);
    await done;
  });

  it('is ready again when it turns', async () => {
    const script = await startServer({ options: { noWorkers: 1 } });
    const done = request(script.port, '/block/b/3500');
    const states = async () => (await script.status()).workers.map(({ state }) => state).join();
    await script.until('it is stuck', async () => (await states()) === 'stuck');
    assert.strictEqual((await done).status, 200);
    await script.until('it is ready', async () => (await states()) === 'ready');
    assert.deepStrictEqual(script.emitted('died'), []);
  });

  it('fails the health check on the monitor’s port if all workers are stuck', async () => {
    const { script, monPort } = await startBlocked({ noWorkers: 2, count: 2 });
    const ask = async () => (await get(monPort, '/ecv')).status;
    await script.until('the check says no', async () => (await ask()) === 500);
    assert.deepStrictEqual(
      statusOf(script.cwd).workers.map(({ state }) => state),
      ['stuck', 'stuck'],
    );
  });

  it('is not confused with an idle worker', async () => {
    const script = await startServer({ options: { noWorkers: 2 } });
    const end = performance.now() + 3000;
    while (performance.now() < end) {
      const { workers } = await script.status();
      assert.deepStrictEqual(workers.map(({ stuckFor }) => stuckFor), [null, null]);
      await elapse(50, 'three beats pass');
    }
  });
});
