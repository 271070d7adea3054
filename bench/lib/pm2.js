'use strict';
// PM2 is no dependency of this project: it is installed into a temporary folder, for one run of the benchmark.

const fs = require('node:fs');
const path = require('node:path');
const { once } = require('node:events');
const { makeDirectory } = require('./directories');
const { spawnTagged, signal } = require('./processes');

const PM2 = 'pm2@7.0.4';
const DEADLINE_MS = 120_000;

let installed;

async function install() {
  const dir = makeDirectory('pm2-');
  const log = path.join(dir, 'npm.txt');
  const output = fs.openSync(log, 'a');
  const args = ['install', '--prefix', dir, '--no-audit', '--no-fund', '--ignore-scripts', PM2];
  const child = spawnTagged('npm', args, { stdio: ['ignore', output, output] });
  fs.closeSync(output);
  const deadline = setTimeout(() => signal(-child.pid, 'SIGKILL'), DEADLINE_MS);
  const [code] = await once(child, 'close');
  clearTimeout(deadline);
  const reason = fs.readFileSync(log, 'utf8').trim().split('\n').find((line) => line.startsWith('npm error')) ?? 'see npm';
  if (code !== 0) throw new Error(`${PM2} could not be installed: ${code === null ? `not within ${DEADLINE_MS / 1000} s` : reason}`);
  return path.join(dir, 'node_modules', 'pm2');
}

// The environment of a peer that is PM2's, with a home of its own in `dir`; the first one installs it.
async function pm2Environment(dir) {
  installed ??= install();
  return { PM2_MODULE: await installed, PM2_HOME: path.join(dir, 'home') };
}

module.exports = { PM2, pm2Environment };
