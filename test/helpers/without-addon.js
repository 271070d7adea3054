'use strict';

// Loaded by `--require`: hides the addon beside this package, as on a machine for which there is
// none.

const fs = require('node:fs');

const { existsSync } = fs;
const isAddon = /[\\/]cluster2-rs\.[^\\/]+\.node$/;

fs.existsSync = (file) => !isAddon.test(file) && existsSync(file);
