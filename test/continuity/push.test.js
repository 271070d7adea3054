'use strict';

// The promises for a change of workers hold too where the master accepts and hands connections
// over, as it does with `balance: 'round-robin'`: the same tests, for what differs there.

const { usePolicy } = require('../helpers/cluster');

const SUITES = ['reload', 'crash', 'hang', 'descriptor-shortage'];

describe("with balance: 'round-robin'", () => {
  before(() => usePolicy('round-robin'));
  after(() => usePolicy(process.env.BALANCE));

  for (const name of SUITES) {
    const file = require.resolve(`./${name}.test.js`);
    // Mocha requires these files too, and must load them again, as is done here.
    delete require.cache[file];
    require(file);
    delete require.cache[file];
  }
});
