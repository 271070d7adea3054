'use strict';

// Other versions of Node, for what has to run on one of them: the tests and the benchmark. Each
// comes from a package of the npm registry that contains only Node, and stays in `target/nodes`.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

/** The cache of Node versions. Delete it to get newer ones. */
const KEPT = path.join(__dirname, '..', 'target', 'nodes');

/**
 * Returns the path of a Node of this version, and its full version. Installs it if it is missing.
 *
 * @param {string} version as for npm: '22' is the latest of that line
 */
function fetchNode(version) {
  const name = `node-linux-${process.arch}`;
  const folder = path.join(KEPT, version);
  const file = path.join(folder, 'node_modules', name, 'bin', 'node');
  if (!fs.existsSync(file)) {
    fs.mkdirSync(folder, { recursive: true });
    const quiet = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
    execFileSync('npm', ['install', ...quiet, '--prefix', folder, `${name}@${version}`], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  }
  const found = execFileSync(file, ['--version'], { encoding: 'utf8' }).trim();
  if (!`${found}.`.startsWith(`v${version}.`)) throw new Error(`${file} is ${found}`);
  return { node: file, found };
}

module.exports = { KEPT, fetchNode };
