'use strict';

// A cluster of one process in tests of an app by mocha or jest leaves nothing open that would keep
// the test runner from exiting, however the runner loads modules.

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Script } = require('../helpers/cluster');

const FOLDER = path.join(__dirname, '..', 'fixtures', 'runners');
const MOCHA = require.resolve('mocha/bin/mocha.js');
const JEST = require.resolve('jest/bin/jest');
const FILES = fs.readdirSync(FOLDER).filter((name) => name.endsWith('.test.js'));
const WITHIN = 60_000;

describe('a cluster of one process in the tests of', function () {
  this.timeout(2 * WITHIN);
  let cache;

  before(() => (cache = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-jest-'))));
  after(() => fs.rmSync(cache, { recursive: true, force: true }));

  for (const [WHERE, flags] of [['runner', []], ['child', ['--parallel', '--jobs', '2']]]) {
    it(`mocha ${flags.join(' ')} leaves nothing open`, async () => {
      const files = FILES.map((name) => path.join(FOLDER, name));
      const script = new Script(MOCHA, {
        args: ['--no-config', '--timeout', WITHIN, ...flags, ...files],
        env: { WHERE },
      });
      assert.deepStrictEqual(await script.ended(WITHIN), { code: 0, signal: null }, script.output);
      assert.match(script.output, /\b4 passing/);
      assert.strictEqual(script.errors, '');
    });
  }

  const ways = {
    runner: ['--detectOpenHandles'],
    child: ['--maxWorkers=2'],
    thread: ['--maxWorkers=2', '--workerThreads'],
  };
  for (const [WHERE, flags] of Object.entries(ways)) {
    it(`jest ${flags.join(' ')} leaves nothing open`, async () => {
      // With a cache of test times, jest would run fast tests in its own process.
      const cacheDirectory = path.join(cache, WHERE);
      const config = {
        rootDir: FOLDER,
        testEnvironment: 'node',
        cacheDirectory,
        testTimeout: WITHIN,
      };
      const script = new Script(JEST, {
        args: ['--config', JSON.stringify(config), ...flags],
        env: { WHERE },
      });
      assert.deepStrictEqual(await script.ended(WITHIN), { code: 0, signal: null }, script.errors);
      assert.match(script.errors, /Tests: +4 passed, 4 total/);
      assert.doesNotMatch(script.errors, /did not exit|open handle|failed to exit|Warning/);
    });
  }
});

describe('a thread that is terminated while it serves', () => {
  it('ends its cluster, and leaves nothing in the process', async () => {
    const script = new Script('terminated-threads.js', { env: { TIMES: '10' } });
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
  });
});
