'use strict';

// The behaviour of every script with two workers that answer with their pids, in any language.

const assert = require('node:assert');
const { ask } = require('./ask');
const { answersOfAll, request } = require('./client');

/** Checks that two workers answer, are replaced by two that answer, and exit with code 0. */
async function assertServes(script) {
  // The events may come from a child, for the command tsx starts the master.
  const listening = () =>
    script
      .events({ allProcesses: true })
      .filter(([name]) => name === 'listening')
      .map(([, pid]) => pid);
  const answer = async () => ({ pid: Number((await request(script.port)).body) });
  await script.until('both workers listen', () => listening().length === 2);
  await answersOfAll(listening(), answer);
  assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
  const died = () => script.events({ allProcesses: true }).filter(([name]) => name === 'died');
  await script.until(
    'the old workers are gone',
    () => listening().length === 4 && died().length === 2,
  );
  await answersOfAll(listening().slice(2), answer);
  script.kill('SIGTERM');
  assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  assert.strictEqual(script.errors, '');
}

module.exports = { assertServes };
