'use strict';

// Finds the addon for this machine: beside this package, where a build puts it, or else in the
// package for this platform, which npm installs with ours. There are two: the *main* one, and the
// *worker's*, which has only what each worker needs. A worker whose own addon is missing (not all
// tools that copy a server know of the file) has the main one, which has all of it.
//
// A release loads this before all other modules of ours, so it needs none of them.

const fs = require('node:fs');
const path = require('node:path');

const PLATFORMS = ['linux-x64-gnu', 'linux-x64-musl', 'linux-arm64-gnu', 'linux-arm64-musl'];
const BUILD =
  "On Linux it can be built: 'npm ci && npm run build' in a clone, with Rust 1.88 or later";

/**
 * These run Node's API, but not the part of Node's cluster module that gives a worker's servers
 * their handles.
 */
const OTHERS = { bun: 'Bun', deno: 'Deno' };

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

/** The file of the main addon for this platform, or why there is none. */
function findFor(platform) {
  const beside = path.join(__dirname, '..', `cluster2-rs.${platform}.node`);
  if (fs.existsSync(beside)) return { file: beside };
  try {
    return { file: require.resolve(`cluster2-rs-${platform}`) };
  } catch (cause) {
    const where = `${platform} (Node ${process.version})`;
    if (!PLATFORMS.includes(platform)) {
      const all = PLATFORMS.join(', ');
      return { reason: `cluster2-rs has no addon for ${where}, only for ${all}`, advice: BUILD };
    }
    const reason =
      `the addon for ${where} is missing: neither ${beside} nor the package ` +
      `cluster2-rs-${platform} is there`;
    const advice = 'Install with optional dependencies, on the platform where it is to run.';
    return { reason, advice: `${advice} ${BUILD}`, cause };
  }
}

let main;

/** The file of the main addon, or why there is none. */
function findMain() {
  const machine = `${process.platform}-${process.arch}`;
  main ??= findFor(process.platform === 'linux' ? `${machine}-${libc()}` : machine);
  return main;
}

/** The file of the worker's addon, which lies beside the main one. */
function besideOf(mainFile) {
  const name = path.basename(mainFile).replace(/^cluster2-rs\./, 'cluster2-worker.');
  const file = path.join(path.dirname(mainFile), name);
  return fs.existsSync(file) ? file : mainFile;
}

/**
 * The file of an addon of this process, or why there is none.
 * @param {'main'|'worker'} kind
 * @returns {{ file?: string, isMain?: boolean, reason?: string, advice?: string, cause?: Error }}
 *   `isMain`: it is the main one; `advice`: what to do
 */
function findAddon(kind) {
  const other = Object.keys(OTHERS).find((name) => process.versions[name]);
  if (other) {
    const reason = `cluster2-rs has no workers on ${OTHERS[other]} ${process.versions[other]}`;
    return { reason, advice: 'Start the script with Node' };
  }
  const found = findMain();
  if (found.file === undefined) return found;
  const file = kind === 'worker' ? besideOf(found.file) : found.file;
  return { file, isMain: file === found.file };
}

module.exports = { BUILD, findAddon };
