'use strict';

// Plain `mocha` runs the tests of all folders of `test/`, except those with a script of their own in
// package.json. Mocha adds `spec` to the files on its command line, so it must be empty if there are
// any.

const { plainTests } = require('./test/helpers/test-files');

const namesFiles = process.argv
  .slice(2)
  .some((word) => /\.test\.js$|^(\.\/)?test\//.test(word));

module.exports = {
  timeout: 20_000,
  require: ['test/helpers/leaks.js'],
  forbidOnly: true,
  exit: false,
  spec: namesFiles ? [] : [...plainTests().values()].flat(),
};
