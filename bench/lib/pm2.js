'use strict';
// PM2, installed for one run of the benchmark.

const path = require('node:path');
const { install } = require('./npm');

const VERSION = '7.0.4';

let installed;

/** Returns the environment of a peer that is PM2's. PM2's home is in `dir`, the peer's own. */
async function pm2Environment(dir) {
  installed ??= install('pm2', `pm2@${VERSION}`);
  const module = path.join(await installed, 'node_modules', 'pm2');
  return { PM2_MODULE: module, PM2_HOME: path.join(dir, 'home') };
}

module.exports = { VERSION, pm2Environment };
