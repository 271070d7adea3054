'use strict';

// A short storm (helpers/storm.js): kills, stops, reloads, scaling, floods, blocked event loops and
// a lack of descriptors at once. `test/long/storm.test.js` is the same for half an hour.

const { anySeed, storm } = require('../helpers/storm');

describe('a storm of faults', () => {
  it('costs only requests that dead workers had taken', async function () {
    this.timeout(90_000);
    await storm({ seed: anySeed(), duration: 1, faults: 30 });
  });
});
