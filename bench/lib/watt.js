'use strict';
// Watt, installed for one run of the benchmark, and the Node that it runs on.

const path = require('node:path');
const { fetchNode } = require('../../scripts/nodes');
const { install } = require('./npm');

const VERSION = '3.65.0';
/** Watt's `engines`: 22.19 or later. */
const OLDEST = [22, 19];
/** The line for Watt where the benchmark runs on an older one: the nearest that Watt supports. */
const LINE = '22';

let installed;
let chosen;

const isSupported = (version) => {
  const [major, minor] = version.slice(1).split('.').map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
};

/** Returns the path and the version of Watt's Node: that of the other peers if Watt supports it. */
function wattNode() {
  const own = { node: process.execPath, found: process.version };
  chosen ??= isSupported(process.version) ? own : fetchNode(LINE);
  if (isSupported(chosen.found)) return chosen;
  throw new Error(`Watt needs Node ${OLDEST.join('.')}, and ${chosen.node} is ${chosen.found}`);
}

/** Returns the environment of a peer that is Watt's. Its control socket is in `dir`. */
async function wattEnvironment(dir) {
  installed ??= install('watt', `wattpm@${VERSION}`, `@platformatic/node@${VERSION}`);
  const folder = await installed;
  return {
    WATT_VERSION: VERSION,
    WATT_MODULES: path.join(folder, 'node_modules'),
    // Watt's command line keeps one in the user's home.
    NODE_COMPILE_CACHE: path.join(folder, 'compile-cache'),
    TMPDIR: dir,
  };
}

module.exports = { VERSION, wattNode, wattEnvironment };
