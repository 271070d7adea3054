'use strict';

// Loads an addon for this machine: from beside this package, where a build puts it, or else from
// the package for this platform, which npm installs with ours. There are two: the *main* one, and
// the *worker's*, which has only what each worker needs. Where there is none, JavaScript stands in
// for it (`fallback/`), which serves as one process.
//
// What always holds: an addon that is there and cannot be loaded is an error, never replaced in
// silence; and CLUSTER2_REQUIRE_NATIVE makes an error of a missing one too. The error says for what
// there is an addon, and what to do. A worker whose own addon is missing (not all tools that copy a
// server know of the file) loads the main one, which has all of it.

const fs = require('node:fs');
const path = require('node:path');
const { ClusterError } = require('./errors');

const PLATFORMS = ['linux-x64-gnu', 'linux-x64-musl', 'linux-arm64-gnu', 'linux-arm64-musl'];
const BUILD =
  "On Linux it can be built: 'npm ci && npm run build' in a clone, with Rust 1.88 or later";
/** Set to anything but `0`: no process runs without the addon. */
const isRequired = !['', '0'].includes(process.env.CLUSTER2_REQUIRE_NATIVE ?? '');

/**
 * These run Node's API, but not the part of Node's cluster module that gives a worker's servers
 * their handles.
 */
const OTHERS = { bun: 'Bun', deno: 'Deno' };

const fail = (message, cause) => {
  throw new ClusterError('CLUSTER2_ERR_PLATFORM', message, { cause });
};

/** There is no addon: what stands in for it, or an error with the `advice`. */
function missing(reason, { advice, cause }) {
  if (isRequired) fail(`${reason}. ${advice}`, cause);
  // A missing package is a mistake of the installation; another system is not.
  const isMistake = process.platform === 'linux';
  return require('./fallback/addon').standIn(isMistake ? `${reason}. ${advice}` : reason);
}

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

/** The file of the main addon, or why there is none. */
function find(platform) {
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

/** The file of the worker's addon, which lies beside the main one. */
function besideOf(main) {
  const name = path.basename(main).replace(/^cluster2-rs\./, 'cluster2-worker.');
  const file = path.join(path.dirname(main), name);
  return fs.existsSync(file) ? file : main;
}

/**
 * Takes what another master passed to this process, if it is to take over from that one, before
 * anything that the script starts could inherit it.
 */
function inherit(addon, file) {
  const platform = path.basename(file).replace(/^cluster2-rs\.|\.node$/g, '');
  const places = [`cluster2.${platform}`, 'cluster2'].map((name) => path.join(file, '..', name));
  /** The command line that belongs to the addon, if it is there. */
  addon.commandLine = places.find((place) => fs.existsSync(place));
  if (process.env.CLUSTER2_HEIR === undefined) return;
  addon.receiveHandover();
  delete process.env.CLUSTER2_HEIR;
}

function loadMain(file) {
  const addon = require(file);
  inherit(addon, file);
  return addon;
}

function load(kind) {
  const other = Object.keys(OTHERS).find((name) => process.versions[name]);
  if (other) {
    const reason = `cluster2-rs has no workers on ${OTHERS[other]} ${process.versions[other]}`;
    return missing(reason, { advice: 'Start the script with Node' });
  }
  const machine = `${process.platform}-${process.arch}`;
  const { file, ...why } = find(process.platform === 'linux' ? `${machine}-${libc()}` : machine);
  if (file === undefined) return missing(why.reason, why);
  const own = kind === 'worker' ? besideOf(file) : file;
  try {
    return own === file ? loadMain(file) : require(own);
  } catch (cause) {
    return fail(`cannot load ${own} (Node ${process.version}): ${cause.message}. ${BUILD}`, cause);
  }
}

const loaded = new Map();

/**
 * The exports of an addon, loaded when it is asked for first.
 * @param {'main'|'worker'} kind
 */
function addonOf(kind) {
  if (!loaded.has(kind)) loaded.set(kind, load(kind));
  return loaded.get(kind);
}

module.exports = { addonOf };
