'use strict';

// Runs the tests that depend on the version of Node, once for each supported version, two versions
// at a time, and afterwards, alone, those that need a quiet machine. Mocha and its clients run on
// the Node that runs this; clusters run on the other one (test/helpers/node.js).
// `npm run test:nodes -- 18 26` runs only these versions.

const fs = require('node:fs');
const path = require('node:path');
const { KEPT, fetchNode } = require('../../scripts/nodes');
const { mocha, sideBySide } = require('../helpers/side-by-side');
const { QUIET, plainTests } = require('../helpers/test-files');

/**
 * The oldest supported version, and the latest of each line, as versions for npm: in an order in
 * which both processes end at about the same time.
 */
const VERSIONS = ['18', '26', '22', '18.7.0', '24', '20'];
/** The tests to run: files in `test/`, without `.test.js`. */
const TESTS = [
  /^cli\/(?!(apps|check|crash-loop|events|give-up|help|hook|logs|restart)$)/,
  /^workers\//,
  /^continuity\/(?!(storm|push)$)/,
  /^listening\/(?!ports$)/,
  /^servers\/(?!traffic$)/,
  /^single\/(listeners|process|shutdown)$/,
  /^fallback\/(process|start)$/,
  /^(errors\/last-lines|health\/check|lifecycle\/(replacement|smoke)|messages\/delivery)$/,
  /^packaging\/(compiled-code|native)$/,
  /^upgrade\/(load|variants)$/,
  /^spares\//,
  /^hangs\/(seize|seize-past|seize-race|stack|undisturbed)$/,
];
/**
 * Slow tests among these that hardly depend on Node. They run only on the latest version of the
 * oldest and the newest line.
 */
const THOROUGH_ONLY = [
  /^continuity\/(blocked-master|container|deploy|descriptor-shortage|hang)$/,
  /^continuity\/(passed-connections|recycle|scale)$/,
  /^continuity\/(clients|crash|orphan|shutdown)$/,
  /^(upgrade\/variants|spares\/activation)$/,
  /^(cli\/|fallback\/start$|servers\/untouched$|hangs\/(seize|seize-past|undisturbed)$)/,
];
const THOROUGH = ['18', '26'];

/** Returns the tests of a version, as paths. */
function testsOf(version) {
  const isOneOf = (name, patterns) => patterns.some((pattern) => pattern.test(name));
  const left = THOROUGH.includes(version) ? [] : THOROUGH_ONLY;
  return [...plainTests().values()].flat().filter((file) => {
    const name = file.slice('test/'.length, -'.test.js'.length);
    return isOneOf(name, TESTS) && !isOneOf(name, left);
  });
}

/** Runs these tests with clusters on that Node. */
async function test(node, version, files, share) {
  const report = path.join(KEPT, `${version}.json`);
  fs.rmSync(report, { force: true });
  const reporter = ['--reporter', 'json', '--reporter-option', `output=${report}`];
  const { status, output } = await mocha([...reporter, ...files], {
    CLUSTER2_TEST_NODE: node,
    // The command line finds its Node by PATH.
    PATH: `${path.dirname(node)}:${process.env.PATH}`,
    TEST_PORTS: share,
  });
  if (!fs.existsSync(report))
    return { passed: 0, failures: [{ title: 'mocha itself', reason: output }] };
  const { stats, failures } = JSON.parse(fs.readFileSync(report, 'utf8'));
  const failed = failures.map(({ fullTitle, err }) => ({
    title: fullTitle,
    reason: err.stack ?? err.message,
  }));
  if (stats.passes === 0) failed.push({ title: 'no test was run', reason: '' });
  else if (status !== 0 && failed.length === 0)
    failed.push({ title: `mocha ended with ${status}`, reason: output });
  return { passed: stats.passes, skipped: stats.pending, failures: failed };
}

/**
 * Prints and returns the result of these tests on one version: how many passed, and which failed.
 */
async function result({ version, files, note = '' }, share) {
  const began = Date.now();
  let what;
  try {
    const { node, found } = fetchNode(version);
    what = { name: found, ...(await test(node, version, files, share)) };
  } catch (error) {
    const reason = `${error.message}\n${error.stderr ?? ''}`;
    what = {
      name: `v${version}`,
      passed: 0,
      failures: [{ title: 'this Node is not available', reason }],
    };
  }
  const skipped = what.skipped ? `, ${what.skipped} skipped` : '';
  const took = Math.round((Date.now() - began) / 1000);
  console.log(
    `Node ${what.name}${note}: ${what.passed} passed, ${what.failures.length} failed` +
      `${skipped} (${took} s)`,
  );
  for (const { title, reason } of what.failures)
    console.log(`  ${title}\n    ${reason.trim().replaceAll('\n', '\n    ')}`);
  return what;
}

/** Runs the tests on the versions that were asked for, and prints the sums. */
async function main() {
  // `npm test` runs all tests on the line of the current Node.
  const isPresent = (version) => process.version.startsWith(`v${version}.`);
  const asked = process.argv.slice(2);
  const versions = asked.length > 0 ? asked : VERSIONS.filter((version) => !isPresent(version));
  const isQuiet = (file) => QUIET.includes(file);
  const jobs = (chosen, note) =>
    versions
      .map((version) => ({ version, note, files: testsOf(version).filter(chosen) }))
      .filter(({ files }) => files.length > 0);
  const results = await sideBySide(jobs((file) => !isQuiet(file)), result);
  for (const job of jobs(isQuiet, ', alone')) results.push(await result(job, '1/1'));
  const sum = (of) => results.reduce((total, one) => total + of(one), 0);
  const failed = sum(({ failures }) => failures.length);
  console.log(`${sum(({ passed }) => passed)} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

main();
