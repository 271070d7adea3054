'use strict';

// Loads the addon for this machine.

const path = require('node:path');
const { ClusterError } = require('./errors');

function target() {
  const libc = process.report?.getReport?.().header.glibcVersionRuntime ? 'gnu' : 'musl';
  return `${process.platform}-${process.arch}-${libc}`;
}

function load() {
  const name = `cluster2-rs.${target()}.node`;
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
