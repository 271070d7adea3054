'use strict';

// The types: the tests in test/types/ pass, and all that they export exists at run time.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..');

/** Runs a tool of this project. Its output is shown if it fails. */
function run(tool, ...args) {
  try {
    const env = { ...process.env, NO_COLOR: '1' };
    return execFileSync(path.join(ROOT, 'node_modules', '.bin', tool), args, {
      cwd: ROOT,
      env,
      encoding: 'utf8',
      timeout: 60_000,
    });
  } catch (error) {
    return assert.fail(`${tool}: ${error.message}\n${error.stdout}\n${error.stderr}`);
  }
}

describe('index.d.ts', function () {
  this.timeout(60_000);

  it('has the types of the manual', () => {
    const files = fs
      .readdirSync(path.join(__dirname, '..', 'types'))
      .filter((name) => name.includes('.tst.'));
    assert.match(
      run('tstyche'),
      new RegExp(`Test files: +${files.length} passed, ${files.length} total`),
    );
  });

  it('compiles in a strict project that also checks the types of its packages', () => {
    assert.strictEqual(run('tsc', '-p', 'test/types'), '');
  });
});

describe('the exports', () => {
  const Cluster = require('cluster2-rs');

  it('exist in a CommonJS module', () => {
    assert.strictEqual(Cluster.Cluster, Cluster);
    assert.strictEqual(
      new Cluster.ClusterError('CLUSTER2_ERR_SYSTEM', 'words').code,
      'CLUSTER2_ERR_SYSTEM',
    );
  });

  it('exist in an ES module, as named exports that Node detects', async () => {
    const imported = await import('cluster2-rs');
    assert.strictEqual(imported.default, Cluster);
    assert.strictEqual(imported.Cluster, Cluster);
    assert.strictEqual(imported.ClusterError, Cluster.ClusterError);
  });
});
