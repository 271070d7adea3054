'use strict';

// The command line, as a person uses it.

const { spawnSync } = require('node:child_process');
const { CLI, Script } = require('./cluster');
const { freePort } = require('./ports');

/** Runs a command in the directory `cwd` to its end. */
function cluster2(cwd, ...args) {
  const { status, signal, stdout, stderr } = spawnSync(CLI, args, {
    cwd,
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { status, signal, stdout, stderr };
}

/** Returns the output of `status --json` in the directory `cwd`. */
const statusOf = (cwd) => JSON.parse(cluster2(cwd, 'status', '--json').stdout);

/** Starts a plain script with two workers and without monitor, and waits until they are ready. */
async function startPlain({ file = 'plain.js', flags = [], port, ...settings } = {}) {
  const cli = ['--workers', '2', '--mon-port', 'off', ...flags];
  return new Script(file, { port: port ?? (await freePort()), cli, ...settings }).ready();
}

module.exports = { cluster2, startPlain, statusOf };
