'use strict';

// The promises for a change of workers hold too where the master accepts and hands connections
// over, as it does with `balance: 'round-robin'`. These tests run again with it.

const { usePolicy } = require('../helpers/cluster');

const SUITES = ['reload', 'crash', 'hang', 'descriptor-shortage'];

describe("with balance: 'round-robin'", () => {
  before(() => usePolicy('round-robin'));
  after(() => usePolicy(process.env.BALANCE));

  for (const name of SUITES) {
    const file = require.resolve(`./${name}.test.js`);
    // Mocha requires these files too. Each must be loaded again, both here and there.
    delete require.cache[file];
    require(file);
    delete require.cache[file];
  }
});
