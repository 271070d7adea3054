'use strict';

// The types: their own tests (test/types/) hold, and what they say can be imported is there when
// the program runs.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..');

/** Runs a tool of this project's; a failure shows all that it said. */
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

  it('types what the manual says', () => {
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

describe('what can be imported', () => {
  const Cluster = require('cluster2-rs');

  it('in a CommonJS module', () => {
    assert.strictEqual(Cluster.Cluster, Cluster);
    assert.strictEqual(
      new Cluster.ClusterError('CLUSTER2_ERR_SYSTEM', 'words').code,
      'CLUSTER2_ERR_SYSTEM',
    );
  });

  it('in an ES module, by names that Node finds without running it', async () => {
    const imported = await import('cluster2-rs');
    assert.strictEqual(imported.default, Cluster);
    assert.strictEqual(imported.Cluster, Cluster);
    assert.strictEqual(imported.ClusterError, Cluster.ClusterError);
  });
});
