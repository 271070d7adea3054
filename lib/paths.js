'use strict';

// Where files of this package lie that others are told of. In a release all of lib/ is one file right in lib/
// (scripts/bundle.js): only modules that lie there too may ask for `__dirname`.

const path = require('node:path');

/** What Node loads in a worker before anything else. */
const PRELOAD = path.join(__dirname, 'preload.js');

module.exports = { PRELOAD };
