'use strict';

// The Node that clusters under test run on: this one, unless `npm run test:nodes` names another.
// Mocha itself always runs on this one.

const { execFileSync } = require('node:child_process');

const NODE = process.env.CLUSTER2_TEST_NODE ?? process.execPath;
const VERSION =
  NODE === process.execPath
    ? process.version
    : execFileSync(NODE, ['--version'], { encoding: 'utf8' }).trim();
// Scripts under test must not see it: tests check which of our variables workers have.
delete process.env.CLUSTER2_TEST_NODE;

const MAJOR = Number.parseInt(VERSION.slice(1));

/** Whether it has `node_api_create_external_string_latin1`. */
const MINOR = Number(VERSION.split('.')[1]);
const HAS_TEXT_OUTSIDE = MAJOR > 20 || MINOR >= { 18: 18, 20: 4 }[MAJOR];

/**
 * The first Node version that works with each. With --inspect-brk, 16 of 104 plain processes of
 * 18.7.0 crashed, and none of 18.20.8.
 */
const SINCE = { fastify: [20, 0], nest: [20, 19], tsx: [18, 18], 'inspect-brk': [18, 20] };

/** Skips the test with this `context` if `name` does not run on this Node even without us. */
function needNodeOf(context, name) {
  const [major, minor] = SINCE[name] ?? [0, 0];
  const [isMajor, isMinor] = VERSION.slice(1).split('.').map(Number);
  if (isMajor < major || (isMajor === major && isMinor < minor)) context.skip();
}

module.exports = { HAS_TEXT_OUTSIDE, MAJOR, NODE, VERSION, needNodeOf };
