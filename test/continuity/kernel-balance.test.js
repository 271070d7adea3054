'use strict';

// What is promised of a change of workers holds as well where workers accept by themselves: the
// same tests, with `balance: 'kernel'`.

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
    // Mocha requires them too, and must find them as new as they are here.
    delete require.cache[file];
    require(file);
    delete require.cache[file];
  }
});
