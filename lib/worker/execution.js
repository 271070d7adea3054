'use strict';

// Lets the master see what this worker executes.

const vm = require('node:vm');
const { PRELOAD } = require('../paths');

const CALLER = 'showExecution';
// The addon takes a stack of this call first. V8 keeps a list of all lines of each script of which
// it shows one, which would be 45 KB for our code: so this is a script of its own.
const CODE = `(function ${CALLER}(native, heap) { native.showExecution('${CALLER}', heap); })`;

/** @param {NativeWorker} native */
function showExecution(native) {
  try {
    const call = vm.runInThisContext(CODE, { filename: PRELOAD });
    call(native, process.memoryUsage().heapUsed);
  } catch {
    // Without /proc. Then nothing is shown, and all else works.
  }
}

module.exports = { showExecution };
