'use strict';

// Loads cluster2-rs.js, the one file of our code, in a release: where the addon can, its text stays
// outside of V8's heap (`addons/shared/src/text.rs`), which saves each worker up to 3 MB of memory.
// Where a test runner runs this in a context of its own (Jest), our code runs there too.

const path = require('node:path');
const vm = require('node:vm');
const { findAddon } = require('./find-addon');

const FILE = path.join(__dirname, 'cluster2-rs.js');
/** What Node gives a module. */
const PARAMETERS = ['exports', 'require', 'module', '__filename', '__dirname'];

function textOutside() {
  try {
    const { file } = findAddon(process.env.CLUSTER2_WORKER ? 'worker' : 'main');
    return require(file).textOf(FILE);
  } catch {
    // Our code says what is wrong with the addon.
    return undefined;
  }
}

function load() {
  const text = vm.runInThisContext('Object') === Object ? textOutside() : undefined;
  if (!text) return require('./cluster2-rs.js');
  const code = vm.compileFunction(text, PARAMETERS, { filename: FILE });
  code.call(exports, exports, require, module, FILE, __dirname);
  return module.exports;
}

module.exports = load();
