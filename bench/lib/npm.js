'use strict';
// Packages that this project does not depend on: they are installed into a temporary folder,
// for one run of the benchmark.

const fs = require('node:fs');
const path = require('node:path');
const { once } = require('node:events');
const { makeDirectory } = require('./directories');
const { spawnTagged, signal } = require('./processes');

const DEADLINE_MS = 120_000;

const reasonIn = (log) => {
  const lines = fs.readFileSync(log, 'utf8').trim().split('\n');
  return lines.find((line) => line.startsWith('npm error')) ?? 'see npm';
};

/** Installs these packages, and returns the folder that has them in `node_modules`. */
async function install(name, ...packages) {
  const dir = makeDirectory(`${name}-`);
  const log = path.join(dir, 'npm.txt');
  const output = fs.openSync(log, 'a');
  const args = ['install', '--prefix', dir, '--no-audit', '--no-fund', '--ignore-scripts'];
  const child = spawnTagged('npm', [...args, ...packages], { stdio: ['ignore', output, output] });
  fs.closeSync(output);
  const deadline = setTimeout(() => signal(-child.pid, 'SIGKILL'), DEADLINE_MS);
  const [code] = await once(child, 'close');
  clearTimeout(deadline);
  if (code === 0) return dir;
  const reason = code === null ? `not within ${DEADLINE_MS / 1000} s` : reasonIn(log);
  throw new Error(`${packages.join(' and ')} could not be installed: ${reason}`);
}

module.exports = { install };
