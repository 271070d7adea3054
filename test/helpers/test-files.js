'use strict';

// The files with tests.

const fs = require('node:fs');
const path = require('node:path');

const TEST = path.join(__dirname, '..');
/** The folders whose tests have a script of their own in package.json. */
const OWN = ['frameworks', 'long', 'release'];
/**
 * Tests that need a quiet machine: they compare times, or check that no worker was late, or cause
 * as much load as the machine bears. They run alone.
 */
const QUIET = [
  'test/bench/bench.test.js',
  'test/continuity/storm.test.js',
  'test/monitor/limits.test.js',
];

/**
 * Returns the tests that plain `mocha` runs, by their folders in `test/`: paths such as
 * `test/health/check.test.js`.
 * @returns {Map<string, string[]>}
 */
function plainTests() {
  const folders = fs
    .readdirSync(TEST, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !OWN.includes(entry.name))
    .map(({ name }) => name)
    .sort();
  const filesOf = (folder) =>
    fs
      .readdirSync(path.join(TEST, folder))
      .filter((name) => name.endsWith('.test.js'))
      .sort()
      .map((name) => `test/${folder}/${name}`);
  const all = folders.map((folder) => [folder, filesOf(folder)]);
  return new Map(all.filter(([, files]) => files.length > 0));
}

module.exports = { QUIET, plainTests };
