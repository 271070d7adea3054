'use strict';

// The promises for a change of workers hold with `balance: 'kernel'` too: the same tests, with
// workers that accept by themselves.

const { usePolicy } = require('../helpers/cluster');

const SUITES = [
  'reload',
  'crash',
  'hang',
  'scale',
  'shutdown',
  'orphan',
  'recycle',
  'descriptor-shortage',
];

describe("with balance: 'kernel'", () => {
  before(() => usePolicy('kernel'));
  after(() => usePolicy(process.env.BALANCE));

  for (const name of SUITES) {
    const file = require.resolve(`./${name}.test.js`);
    // Mocha requires these files too, and must load them again, as is done here.
    delete require.cache[file];
    require(file);
    delete require.cache[file];
  }
});
