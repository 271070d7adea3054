'use strict';

// The master's JavaScript is stuck in a loop: what keeps the service up does not run there.

const assert = require('node:assert');
const { ask } = require('./helpers/ask');
const { childrenOf } = require('./helpers/cluster');
const hammer = require('./helpers/hammer');
const { callInMaster, someWorker, startServer } = require('./helpers/hammered');

const BLOCKED = 8000;

async function startBlocked(options) {
  const script = await startServer({ options });
  await callInMaster(script, 'block', BLOCKED);
  await script.until('the master is stuck', () => script.told('blocking').length > 0);
  return { script, begun: performance.now() };
}

/** Whether all this happened while it was stuck; else the test has shown nothing. */
function assertStillBlocked(script, begun) {
  assert.ok(performance.now() - begun < BLOCKED - 200, 'it took too long to show anything');
  assert.deepStrictEqual(script.told('blocked'), []);
}

describe('a master whose script is stuck for 8 s', () => {
  it('delays nobody: connections are accepted, connections wander, nobody waits', async () => {
    const { script, begun } = await startBlocked({ noWorkers: 2 });
    const load = hammer.start(script.port);
    await load.answered(1500);
    const report = await load.stop();
    assertStillBlocked(script, begun);
    hammer.assertClean(report);
    assert.deepStrictEqual(report.slow, []);
  });

  it('replaces a worker that dies, which then answers', async () => {
    const { script, begun } = await startBlocked({ noWorkers: 2 });
    const before = childrenOf(script.pid);
    process.kill(await someWorker(script.port), 'SIGKILL');
    const newcomer = async () => !before.includes(await someWorker(script.port).catch(() => before[0]));
    await script.until('the new worker answers', newcomer);
    assertStillBlocked(script, begun);
    await script.until('events are told afterwards', () => script.told('died').length === 1 && script.told('listening').length === 3);
  });

  it('reloads and scales for other processes, under the hammer', async () => {
    const { script, begun } = await startBlocked({ noWorkers: 2 });
    const load = hammer.start(script.port);
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
    assert.deepStrictEqual((await ask(script.cwd, 'scale', [3])).ok, { before: 2, workers: 3 });
    assert.strictEqual((await ask(script.cwd, 'status')).ok.running, true);
    assertStillBlocked(script, begun);
    hammer.assertClean(await load.stop());
  });
});
