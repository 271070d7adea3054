'use strict';

// Another master takes over, under load: no request fails, and no client connects again.

const assert = require('node:assert');
const { request } = require('../helpers/client');
const { childrenOf } = require('../helpers/cluster');
const hammer = require('../helpers/hammer');
const { startServer } = require('../helpers/hammered');
const {
  descriptorsOf, endAll, idleConnections, masterOf, told, upgrade,
} = require('../helpers/upgrades');
const { until } = require('../helpers/wait');

/** How often another master takes over. */
const TIMES = Number(process.env.CLUSTER2_UPGRADES ?? 6);

/** Asks the health check again and again. `stop()` returns all different answers. */
function watchHealth(port) {
  const answers = new Set();
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      const { status, body } = await request(port, '/ecv');
      answers.add(`${status} ${body.includes('status=AVAILABLE')}`);
    }
  })();
  return async () => {
    isOver = true;
    await watching;
    return [...answers];
  };
}

/**
 * Asks for the status again and again. `stop()` returns all different values of `running`, and the
 * fewest ready workers that any status has shown.
 */
function watchStatus(script) {
  const running = new Set();
  let [isOver, fewest, samples] = [false, Infinity, 0];
  const watching = (async () => {
    while (!isOver) {
      const { running: isRunning, master, workers = [] } = await script.status();
      running.add(isRunning);
      samples += 1;
      // The old master was asked, and stepped down before it answered.
      const isLate = master?.upgrade?.state === 'draining';
      if (isLate && workers.every(({ state }) => state === 'draining')) continue;
      const serving = workers.filter(({ state }) => state === 'ready' || state === 'stuck');
      fewest = Math.min(fewest, serving.length);
    }
  })();
  return async () => {
    isOver = true;
    await watching;
    return { running: [...running], fewest, samples };
  };
}

describe('an upgrade under load', function () {
  this.timeout(120_000);

  it(`${TIMES} times in a row costs no request and no connection`, async () => {
    const env = { KEEP_ALIVE: '60000' };
    const script = await startServer({ options: { ecv: true }, env });
    const [idle, stopWatching] = [
      await idleConnections(script.port, 200),
      watchHealth(script.port),
    ];
    const begun = performance.now();
    const stopAsking = watchStatus(script);
    const load = hammer.start(script.port, { clients: { keepAlive: 32, oneShot: 8 } });
    await load.answered(200);
    const first = masterOf(script);
    assert.strictEqual(first, script.pid);
    const masters = [first];
    let open;
    for (let time = 1; time <= TIMES; time++) {
      masters.push(await upgrade(script));
      await load.answered(50);
      // The first new master has no connection to a holder.
      if (time === 2) open = descriptorsOf(masterOf(script));
    }
    const workers = childrenOf(masterOf(script));
    assert.deepStrictEqual([new Set(masters).size, workers.length], [TIMES + 1, 2]);
    load.watchPids();
    await load.answered(100);
    const report = await load.stop();
    hammer.assertClean(report);
    assert.ok([...report.pids].every((pid) => workers.includes(pid)), 'only new workers answer');
    const answered = await idle.check();
    assert.ok(answered.every((pid) => workers.includes(pid)), 'idle connections have moved');
    idle.end();
    assert.deepStrictEqual(await stopWatching(), ['200 true']);
    const { running, fewest, samples } = await stopAsking();
    assert.deepStrictEqual(running, [true], 'the lock is never free');
    assert.strictEqual(fewest, 2, 'two workers are ready all the time');
    const seconds = (performance.now() - begun) / 1000;
    assert.ok(samples > 3 * seconds, `${samples} samples in ${seconds} s`);
    assert.deepStrictEqual(told(script, 'disable'), []);
    // A chain leaves one process that keeps the first pid, and one master.
    await until('one master is left', () =>
      String(childrenOf(script.pid)) === String(masterOf(script)));
    await until('nothing is left open', () => {
      const left = descriptorsOf(masterOf(script));
      return left.length <= open.length;
    });
    const { totals } = await script.status();
    assert.ok(totals.requests >= report.ok, `${totals.requests} of ${report.ok} are counted`);
    assert.strictEqual(totals.exits.upgrade, 2 * TIMES);
    await endAll(script);
  });

  for (const balance of ['round-robin', 'ip-hash']) {
    it(`with ${balance} costs nothing either`, async () => {
      const script = await startServer({ options: { balance }, env: { KEEP_ALIVE: '60000' } });
      const idle = await idleConnections(script.port, 20);
      const load = hammer.start(script.port);
      await load.answered(100);
      for (let time = 1; time <= 2; time++) await upgrade(script);
      await load.answered(100);
      hammer.assertClean(await load.stop());
      await idle.check();
      idle.end();
      await endAll(script);
    });
  }

  it('serves clients of all kinds', async () => {
    const script = await startServer();
    const load = hammer.start(script.port);
    await load.answered(100);
    for (let time = 1; time <= 3; time++) {
      await upgrade(script);
      await load.answered(100);
    }
    hammer.assertClean(await load.stop());
    await endAll(script);
  });
});
