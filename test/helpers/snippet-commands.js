'use strict';

// Commands of the documents that are not run against a cluster: checks that they exist, with these
// flags.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const path = require('node:path');
const description = require('../../package.json');

const CLI = path.join(__dirname, '..', '..', 'bin', 'cluster2');
/** What a command says that finds neither a cluster nor its directories. */
const NOTHING_HERE = /no cluster is running|there is no directory|cannot read the logs directory/;
const OF_NPM = ['ci', 'cit', 'install', 'pack', 'start', 'test'];

/** Fails unless the command line accepts this command, as far as it goes where nothing runs. */
function assertAccepted(cwd, command) {
  const [name, ...args] = command.split(' ').slice(1);
  const {
    status: code,
    stdout,
    stderr,
  } = spawnSync(CLI, [name, ...args], { cwd, encoding: 'utf8', timeout: 10_000 });
  if (['completions', 'man'].includes(name)) assert.strictEqual(code, 0, stderr);
  else
    assert.match(stdout + stderr, name === 'start' ? /there is no script/ : NOTHING_HERE, command);
}

/** Fails unless this command exists. */
function assertExists(cwd, command) {
  const [program, first, second] = command.split(' ');
  if (program === 'npx') return assertExists(cwd, command.slice('npx '.length));
  if (program === 'cluster2') return assertAccepted(cwd, command);
  assert.strictEqual(program, 'npm', `no check for '${command}'`);
  if (first === 'run') return assert.ok(description.scripts[second], command);
  assert.ok(OF_NPM.includes(first), command);
  return assert.ok(first !== 'install' || second === description.name, command);
}

module.exports = { CLI, assertAccepted, assertExists };
