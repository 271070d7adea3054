'use strict';

// A master whose JavaScript is stuck in a loop: the service goes on, for nothing that it needs runs
// there.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { childrenOf } = require('../helpers/cluster');
const hammer = require('../helpers/hammer');
const { callInMaster, someWorker, startServer } = require('../helpers/hammered');

/**
 * A cluster whose master is stuck until `release()`, which first checks that it was stuck all the
 * time.
 */
async function startBlocked(options) {
  const script = await startServer({ options });
  const file = path.join(script.cwd, 'release');
  await callInMaster(script, 'blockUntil', file);
  await script.until('the master is stuck', () => script.emitted('blocking').length > 0);
  const release = async () => {
    assert.deepStrictEqual(script.emitted('blocked'), []);
    fs.writeFileSync(file, '');
    await script.until('it goes on', () => script.emitted('blocked').length > 0);
  };
  return { script, release };
}

describe('a master whose script is stuck', () => {
  it('delays no client: connections are accepted and moved', async () => {
    const { script, release } = await startBlocked({ noWorkers: 2 });
    const load = hammer.start(script.port);
    await load.answered(1500, 15_000);
    const report = await load.stop();
    await release();
    hammer.assertClean(report);
    assert.deepStrictEqual(report.slow, []);
  });

  it('replaces a worker that dies', async () => {
    const { script, release } = await startBlocked({ noWorkers: 2 });
    const before = childrenOf(script.pid);
    process.kill(await someWorker(script.port), 'SIGKILL');
    const newcomer = async () =>
      !before.includes(await someWorker(script.port).catch(() => before[0]));
    await script.until('the new worker answers', newcomer);
    assert.deepStrictEqual(script.emitted('died'), []);
    await release();
    await script.until(
      'events are reported afterwards',
      () => script.emitted('died').length === 1 && script.emitted('listening').length === 3,
    );
  });

  it('reloads and scales on request of other processes, under load', async () => {
    const { script, release } = await startBlocked({ noWorkers: 2 });
    const load = hammer.start(script.port);
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
    assert.deepStrictEqual((await ask(script.cwd, 'scale', [3])).ok, { before: 2, workers: 3 });
    assert.strictEqual((await script.status()).running, true);
    const report = await load.stop();
    await release();
    hammer.assertClean(report);
  });
});
