'use strict';

// Runs the tests that depend on the version of Node, once for each supported version. Mocha and its
// clients run on the Node that runs this; clusters run on the other one (test/helpers/node.js).
// `npm run test:nodes -- 18 26` runs only these versions.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { KEPT, fetchNode } = require('../../scripts/nodes');

const ROOT = path.join(__dirname, '..', '..');
/** The oldest supported version, and the latest of each line, as versions for npm. */
const VERSIONS = ['18.7.0', '18', '20', '22', '24', '26'];
/** The tests to run: files in `test/`, without `.test.js`. */
const TESTS = [
  /^(cli|workers)\//,
  /^continuity\/(?!(storm|kernel-balance)$)/,
  /^listening\/(?!ports$)/,
  /^servers\/(?!traffic$)/,
  /^single\/(listeners|process|shutdown)$/,
  /^fallback\/(process|start)$/,
  /^(errors\/last-lines|health\/check|lifecycle\/smoke|messages\/delivery|packaging\/native)$/,
  /^hangs\/stack$/,
];
/**
 * Slow tests among these that hardly depend on Node. They run only on the latest version of the
 * oldest and the newest line.
 */
const THOROUGH_ONLY = [
  /^continuity\/(blocked-master|container|deploy|descriptor-shortage|hang)$/,
  /^continuity\/(passed-connections|recycle|scale)$/,
  /^continuity\/(clients|crash|orphan|shutdown)$/,
  /^(cli\/|fallback\/start$|servers\/untouched$)/,
];
const THOROUGH = ['18', '26'];

/** Runs the tests with clusters on that Node. */
function test(node, version) {
  const report = path.join(KEPT, `${version}.json`);
  fs.rmSync(report, { force: true });
  const isOneOf = (name, patterns) => patterns.some((pattern) => pattern.test(name));
  const files = fs
    .readdirSync(path.join(ROOT, 'test'), { recursive: true })
    .filter((file) => file.endsWith('.test.js'))
    .sort();
  const names = files.map((file) => file.slice(0, -'.test.js'.length));
  const left = THOROUGH.includes(version) ? [] : THOROUGH_ONLY;
  const chosen = names.filter((name) => isOneOf(name, TESTS) && !isOneOf(name, left));
  const reporter = ['--reporter', 'json', '--reporter-option', `output=${report}`];
  const mocha = [
    require.resolve('mocha/bin/mocha.js'),
    ...reporter,
    ...chosen.map((name) => `test/${name}.test.js`),
  ];
  // The command line finds its Node by PATH.
  const env = {
    ...process.env,
    CLUSTER2_TEST_NODE: node,
    PATH: `${path.dirname(node)}:${process.env.PATH}`,
  };
  const { status, stderr } = spawnSync(process.execPath, mocha, {
    cwd: ROOT,
    encoding: 'utf8',
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (!fs.existsSync(report))
    return { passed: 0, failures: [{ title: 'mocha itself', reason: stderr }] };
  const { stats, failures } = JSON.parse(fs.readFileSync(report, 'utf8'));
  const failed = failures.map(({ fullTitle, err }) => ({
    title: fullTitle,
    reason: err.stack ?? err.message,
  }));
  if (stats.passes === 0) failed.push({ title: 'no test was run', reason: '' });
  else if (status !== 0 && failed.length === 0)
    failed.push({ title: `mocha ended with ${status}`, reason: stderr });
  return { passed: stats.passes, skipped: stats.pending, failures: failed };
}

/** Returns the result for one version: how many tests passed, and which failed. */
function result(version) {
  const began = Date.now();
  let what;
  try {
    const { node, found } = fetchNode(version);
    what = { name: found, ...test(node, version) };
  } catch (error) {
    const reason = `${error.message}\n${error.stderr ?? ''}`;
    what = {
      name: `v${version}`,
      passed: 0,
      failures: [{ title: 'this Node cannot be had', reason }],
    };
  }
  const skipped = what.skipped ? `, ${what.skipped} skipped` : '';
  const took = Math.round((Date.now() - began) / 1000);
  console.log(
    `Node ${what.name}: ${what.passed} passed, ${what.failures.length} failed${skipped} (${took} s)`,
  );
  for (const { title, reason } of what.failures)
    console.log(`  ${title}\n    ${reason.trim().replaceAll('\n', '\n    ')}`);
  return what;
}

// `npm test` runs all tests on the line of the current Node.
const isPresent = (version) => process.version.startsWith(`v${version}.`);
const asked = process.argv.slice(2);
const results = (asked.length > 0 ? asked : VERSIONS.filter((version) => !isPresent(version))).map(
  result,
);
const sum = (of) => results.reduce((total, one) => total + of(one), 0);
const failed = sum(({ failures }) => failures.length);
console.log(`${sum(({ passed }) => passed)} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
