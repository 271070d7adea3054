'use strict';

// Runs the tests that plain `mocha` runs, two folders at a time, and afterwards, alone, those that
// need a quiet machine. Mocha prints the counts of each run; the end of the output repeats the
// failures and has the sums.
// `npm run test:js -- --grep reload` passes options on to mocha.

const { mocha, sideBySide } = require('./helpers/side-by-side');
const { QUIET, plainTests } = require('./helpers/test-files');

/** The folders that take longest begin, so that both processes end at about the same time. */
const LONGEST = ['continuity', 'examples', 'monitor'];

/** How much is repeated of a mocha that ended without counts, in characters. */
const LAST_WORDS = 2000;

const options = process.argv.slice(2);
if (process.stdout.isTTY) options.push('--color');
const began = performance.now();
const sums = { passing: 0, pending: 0, failing: 0 };
/** What mocha says of failed tests, by the folder. */
const failed = new Map();

/** Runs the files of `[name, files]`, prints what mocha prints, and adds up its counts. */
async function run([name, files], share) {
  const { status, output } = await mocha([...options, ...files], { TEST_PORTS: share });
  process.stdout.write(output);
  // eslint-disable-next-line no-control-regex
  const plain = output.replace(/\x1b\[\d*m/g, '');
  for (const [, count, what] of plain.matchAll(/^ {2}(\d+) (passing|pending|failing)\b/gm))
    sums[what] += Number(count);
  if (status === 0) return;
  const from = plain.search(/^ {2}\d+ failing\b/m);
  failed.set(name, plain.slice(from === -1 ? -LAST_WORDS : from));
}

async function main() {
  const tests = plainTests();
  const folders = [...new Set([...LONGEST, ...tests.keys()])].map((name) => [
    name,
    tests.get(name).filter((file) => !QUIET.includes(file)),
  ]);
  await sideBySide(folders.filter(([, files]) => files.length > 0), run);
  await run(['those that run alone', QUIET], '1/1');
  const took = Math.round((performance.now() - began) / 1000);
  for (const [name, text] of failed) console.log(`\n${name}:\n${text}`);
  const counts = Object.entries(sums).map(([what, count]) => `${count} ${what}`);
  console.log(`All tests: ${counts.join(', ')} (${took} s)`);
  if (failed.size === 0) return;
  console.log(`Failed: ${[...failed.keys()].join(', ')}`);
  process.exitCode = 1;
}

main();
