'use strict';

// Recycling: workers that pass a threshold are replaced, one at a time, and no client notices.

const assert = require('node:assert');
const hammer = require('../helpers/hammer');
const { assertCleanEnd, change, startServer } = require('../helpers/hammered');

/**
 * Checks that no two workers were recycled at once, and that `workers` workers were always ready.
 */
function assertOneAtATime(script, workers) {
  let ready = 0;
  let recycling;
  for (const [name, pid] of script.events()) {
    if (name === 'recycle') {
      assert.strictEqual(recycling, undefined, `${pid} is recycled while ${recycling} still is`);
      recycling = pid;
    }
    if (name === 'listening') {
      ready += 1;
      if (ready > workers) recycling = undefined;
    }
    if (name === 'died') {
      ready -= 1;
      assert.ok(ready >= workers, `${ready} workers were left when ${pid} died`);
    }
  }
}

/** Runs clients until `count` workers were recycled and are gone. No client may notice. */
async function recycleUnderTheHammer(options, count, reason) {
  const script = await startServer({ options: { noWorkers: 2, ...options } });
  const load = hammer.start(script.port);
  await script.until(
    `${count} workers are recycled`,
    () => script.emitted('died').length >= count,
    15_000,
  );
  await load.answered(100);
  hammer.assertClean(await load.stop());
  assert.ok(
    script.emitted('recycle').every(([, told]) => reason.test(told.reason)),
    script.output,
  );
  assert.ok(
    script.emitted('died').every(([, death]) => death.reason === 'recycle' && death.code === 0),
    script.output,
  );
  assert.deepStrictEqual(script.emitted('warning'), []);
  assertOneAtATime(script, 2);
  script.kill();
  await assertCleanEnd(script);
}

describe('recycling under load', () => {
  it('by connThreshold loses no request', () =>
    recycleUnderTheHammer({ connThreshold: 200 }, 3, /^\d+ connections, above (2\d\d|300) \(connThreshold\)$/));

  it('by uptimeThreshold loses no request', () =>
    recycleUnderTheHammer(
      { uptimeThreshold: 1 },
      3,
      /^\d s, above 1 s \(uptimeThreshold\)$/,
    ));

  it('by memThreshold loses no request', () =>
    // Every worker is above it as soon as it is measured.
    recycleUnderTheHammer({ memThreshold: 1_000_000 }, 3, /^\d+ MiB, above [\d.]+ [KM]iB \(memThreshold\)$/));

  it('keeps the old worker and warns if its replacement fails', async () => {
    const script = await startServer({ options: { noWorkers: 2, uptimeThreshold: 1 } });
    const old = script.workers();
    change(script, 'throw new Error("no database");');
    const load = hammer.start(script.port);
    const warned = () => script.emitted('warning').map(([{ message }]) => message);
    await script.until('it has failed', () => warned().length > 0);
    await load.answered(100);
    hammer.assertClean(await load.stop());
    assert.match(
      warned()[0],
      /^a recycle failed, the old worker stays: worker \d+ exited with code 1: Error: no database$/,
    );
    assert.deepStrictEqual(script.workers().sort(), old.sort());
    assert.strictEqual(script.emitted('recycle').length, 1, 'it does not try again at once');
  });

  it('does not happen while no worker passes a threshold', async () => {
    const options = { connThreshold: 1e9, uptimeThreshold: 1e6, memThreshold: 1e12 };
    const script = await startServer({ options: { noWorkers: 2, ...options } });
    const load = hammer.start(script.port);
    await load.answered(1500);
    hammer.assertClean(await load.stop());
    assert.deepStrictEqual([script.emitted('recycle'), script.emitted('died')], [[], []]);
  });
});
