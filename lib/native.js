'use strict';

// Loads the addon for this machine: from beside this package, where a build puts it, or else from
// the package for this platform, which npm installs with ours. Where there is none, the error says
// for what there is one, and what to do.

const fs = require('node:fs');
const path = require('node:path');
const { ClusterError } = require('./errors');

const PLATFORMS = ['linux-x64-gnu', 'linux-x64-musl', 'linux-arm64-gnu', 'linux-arm64-musl'];
const BUILD =
  "On Linux it can be built: 'npm ci && npm run build' in a clone, with Rust 1.88 or later";

/**
 * These run Node's API, but not the part of Node's cluster module that gives a worker's servers
 * their handles.
 */
const OTHERS = { bun: 'Bun', deno: 'Deno' };

const fail = (message, cause) => {
  throw new ClusterError('CLUSTER2_ERR_PLATFORM', message, { cause });
};

/**
 * The C library that this Node is linked with, by its file's interpreter: Node's own report takes
 * longer than all of loading.
 */
function libc() {
  const head = Buffer.alloc(4096);
  const file = fs.openSync(process.execPath);
  fs.readSync(file, head);
  fs.closeSync(file);
  return head.includes('/ld-musl-') ? 'musl' : 'gnu';
}

function find(platform) {
  const beside = path.join(__dirname, '..', `cluster2-rs.${platform}.node`);
  if (fs.existsSync(beside)) return beside;
  try {
    return require.resolve(`cluster2-rs-${platform}`);
  } catch (cause) {
    const where = `${platform} (Node ${process.version})`;
    if (!PLATFORMS.includes(platform)) {
      const all = PLATFORMS.join(', ');
      fail(`cluster2-rs has no addon for ${where}, only for ${all}. ${BUILD}`, cause);
    }
    return fail(
      `the addon for ${where} is missing: neither ${beside} nor the package ` +
        `cluster2-rs-${platform} is there. Install with optional dependencies, on the platform ` +
        `where it is to run. ${BUILD}`,
      cause,
    );
  }
}

function load() {
  const other = Object.keys(OTHERS).find((name) => process.versions[name]);
  if (other) {
    const runtime = `${OTHERS[other]} ${process.versions[other]}`;
    fail(`cluster2-rs does not run on ${runtime}: start the script with Node`);
  }
  const machine = `${process.platform}-${process.arch}`;
  const file = find(process.platform === 'linux' ? `${machine}-${libc()}` : machine);
  try {
    return require(file);
  } catch (cause) {
    return fail(`cannot load ${file} (Node ${process.version}): ${cause.message}. ${BUILD}`, cause);
  }
}

module.exports = load();
