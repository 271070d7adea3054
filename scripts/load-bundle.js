'use strict';

// Loads all.js, the one file of our code, in a release: where the addon can, its text stays outside
// of V8's heap (`addons/shared/src/text.rs`), which saves each worker up to 3 MB of memory.

const path = require('node:path');
const vm = require('node:vm');
const { findAddon } = require('./find-addon');

const FILE = path.join(__dirname, 'all.js');
/** What Node gives a module. */
const PARAMETERS = ['exports', 'require', 'module', '__filename', '__dirname'];

function textOutside() {
  try {
    const { file } = findAddon(process.env.CLUSTER2_WORKER ? 'worker' : 'main');
    return require(file).textOf(FILE);
  } catch {
    // all.js says what is wrong with the addon.
    return undefined;
  }
}

function load() {
  const text = textOutside();
  if (!text) return require('./all.js');
  const code = vm.compileFunction(text, PARAMETERS, { filename: FILE });
  code.call(exports, exports, require, module, FILE, __dirname);
  return module.exports;
}

module.exports = load();
