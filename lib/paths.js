'use strict';

// Where files of this package lie that other programs load. In a release all of lib/ is one file
// right in lib/ (scripts/bundle.js): only modules that lie there too may ask for `__dirname`.

const path = require('node:path');

/** Loaded by Node in a worker before anything else. */
const PRELOAD = path.join(__dirname, 'preload.js');

module.exports = { PRELOAD };
