'use strict';

// The storm of helpers/storm.js for CLUSTER2_STORM_MINUTES (30), after the seeds that failed
// before.

const { anySeed, storm } = require('../helpers/storm');

const MINUTES = Number(process.env.CLUSTER2_STORM_MINUTES ?? 30);
/** Seeds of storms that failed before. */
const KEPT = [];

describe('a long storm of faults', () => {
  for (const seed of KEPT) {
    it(`with the seed ${seed}, which failed before`, async function () {
      this.timeout(120_000);
      await storm({ seed, duration: 1 });
    });
  }

  it(`of ${MINUTES} minutes costs only requests that dead workers had taken`, async function () {
    this.timeout((MINUTES + 3) * 60_000);
    console.log(await storm({ seed: anySeed(), duration: MINUTES * 60_000 }));
  });
});
