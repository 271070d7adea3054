'use strict';

// The storm of helpers/storm.js for CLUSTER2_STORM_MINUTES (30), on several clusters in turn, after
// the seeds that failed before.

const { anySeed, storm } = require('../helpers/storm');

const MINUTES = Number(process.env.CLUSTER2_STORM_MINUTES ?? 30);
/** How many clusters share the time. The seed of the nth is higher by n, so they differ. */
const CLUSTERS = 4;
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
    this.timeout((MINUTES + 3 * CLUSTERS) * 60_000);
    const first = anySeed();
    const duration = (MINUTES / CLUSTERS) * 60_000;
    for (let n = 0; n < CLUSTERS; n++) console.log(await storm({ seed: first + n, duration }));
  });
});
