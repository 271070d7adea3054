'use strict';

// Loads cluster2-rs.js, the one file of our code, in a release. Where the addon can, its text stays
// outside of V8's heap, which saves each worker up to 3 MB of memory. What V8 compiles of it is
// kept for the workers that start later, which saves each of them some milliseconds
// (`addons/shared/src/release_code.rs`). Where a test runner runs this in a context of its own
// (Jest), our code runs there too.

const path = require('node:path');
const vm = require('node:vm');
const { findAddon } = require('./find-addon');

const FILE = path.join(__dirname, 'cluster2-rs.js');
/** What Node gives a module, in a line of its own, which also tells versions of Node apart. */
const { version } = process;
const HEAD = `(function (exports, require, module, __filename, __dirname) { // ${version}\n`;
const TAIL = '\n})';
/**
 * So long after its first connection, a worker has run most of our code that it ever runs,
 * milliseconds.
 */
const KEEP_AFTER = 250;

const isWorker = Boolean(process.env.CLUSTER2_WORKER);

/** The code by the addon; `undefined`: V8 has to have it in its heap. */
function codeOutside() {
  if (vm.runInThisContext('Object') !== Object) return undefined;
  try {
    const { ReleaseCode } = require(findAddon(isWorker ? 'worker' : 'main').file);
    const code = new ReleaseCode(FILE, HEAD, TAIL);
    const text = code.text();
    return text ? { code, text } : undefined;
  } catch {
    // Our code says what is wrong with the addon.
    return undefined;
  }
}

/** What another worker has compiled. A child of a worker may have its environment. */
function compiledBy(code) {
  try {
    const compiled = isWorker && require('node:cluster').isWorker ? code.compiled() : null;
    return compiled ? new Uint8Array(compiled) : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps what is compiled, once this worker has served for a moment. That takes 3 ms. */
function keepLater({ traffic }, code, script) {
  // Of V8 and its flags. Code for flags that the script has changed would fit no other worker.
  const tag = () => require('node:v8').cachedDataVersionTag();
  const before = tag();
  const keep = () => {
    try {
      if (tag() !== before) return;
      if (code.isWanted()) code.keep(script.createCachedData());
    } catch {
      // Then later workers compile it themselves.
    }
  };
  traffic.whenUsed(() => setTimeout(keep, KEEP_AFTER).unref());
}

function load() {
  const { code, text } = codeOutside() ?? {};
  if (!code) return require('./cluster2-rs.js');
  const cachedData = compiledBy(code);
  const script = new vm.Script(text, { filename: FILE, lineOffset: -1, cachedData });
  const run = script.runInThisContext();
  run.call(exports, exports, require, module, FILE, __dirname);
  const { index, preload } = module.exports;
  /** Whether V8 took what another worker has compiled. */
  const isCompiled = script.cachedDataRejected === false;
  const enter = () => {
    const { session } = preload();
    if (session && !isCompiled) keepLater(session, code, script);
  };
  return { index, preload: enter, isCompiled };
}

module.exports = load();
