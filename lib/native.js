'use strict';

// Loads the addon for this machine.

const fs = require('node:fs');
const path = require('node:path');
const { ClusterError } = require('./errors');

// Which C library this is, Node tells only in a report that takes longer than loading; the wrong one just cannot be found.
function load() {
  const names = ['gnu', 'musl'].map((libc) => `cluster2-rs.${process.platform}-${process.arch}-${libc}.node`);
  const name = names.find((file) => fs.existsSync(path.join(__dirname, '..', file))) ?? names[0];
  try {
    return require(path.join(__dirname, '..', name));
  } catch (cause) {
    throw new ClusterError(
      'CLUSTER2_ERR_PLATFORM',
      `cannot load ${name} (Node ${process.version}): ${cause.message}; cluster2-rs runs on Linux, and is built with 'npm run build'`,
      { cause },
    );
  }
}

module.exports = load();
