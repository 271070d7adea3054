'use strict';

// Packages that are too big to install for all tests. Each set has a directory with its own lock
// file.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');

/** The timeout of a `before` hook that installs from the network, in milliseconds. */
const INSTALL = 300_000;

function npm(directory, ...args) {
  execFileSync('npm', args, {
    cwd: directory,
    env: { ...process.env, NEXT_TELEMETRY_DISABLED: '1' },
    stdio: 'pipe',
  });
}

/** Copies `source` to `directory`, and installs there what its lock file names. */
function install(source, directory) {
  fs.cpSync(source, directory, { recursive: true });
  npm(directory, 'ci', '--no-audit', '--no-fund');
}

module.exports = { INSTALL, install, npm };
