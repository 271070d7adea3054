'use strict';

// Loads the addons that `find-addon` finds. Where there is none, JavaScript stands in for it
// (`fallback/`), which serves as one process.
//
// What always holds: an addon that is there and cannot be loaded is an error, never replaced in
// silence; and CLUSTER2_REQUIRE_NATIVE makes an error of a missing one too. The error says for what
// there is an addon, and what to do.

const fs = require('node:fs');
const path = require('node:path');
const { ClusterError } = require('./errors');
const { BUILD, findAddon } = require('./find-addon');

/** Set to anything but `0`: no process runs without the addon. */
const isRequired = !['', '0'].includes(process.env.CLUSTER2_REQUIRE_NATIVE ?? '');

const fail = (message, cause) => {
  throw new ClusterError('CLUSTER2_ERR_PLATFORM', message, { cause });
};

/** There is no addon: what stands in for it, or an error with the `advice`. */
function missing({ reason, advice, cause }) {
  if (isRequired) fail(`${reason}. ${advice}`, cause);
  // A missing package is a mistake of the installation; another system is not.
  const isMistake = process.platform === 'linux';
  return require('./fallback/addon').standIn(isMistake ? `${reason}. ${advice}` : reason);
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
  const { file, isMain, ...why } = findAddon(kind);
  if (file === undefined) return missing(why);
  try {
    return isMain ? loadMain(file) : require(file);
  } catch (cause) {
    return fail(`cannot load ${file} (Node ${process.version}): ${cause.message}. ${BUILD}`, cause);
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
