'use strict';

// What every script does that serves its own pid by two workers, in whatever language it is
// written.

const assert = require('node:assert');
const { ask } = require('./ask');
const { answersOfAll, request } = require('./client');

/** Two workers answer and are replaced, those who replace them answer, and all ends well. */
async function serves(script) {
  // Whoever starts the master, as the command tsx does, passes on what it writes.
  const listening = () =>
    script
      .events({ everybody: true })
      .filter(([name]) => name === 'listening')
      .map(([, pid]) => pid);
  const answer = async () => ({ pid: Number((await request(script.port)).body) });
  await script.until('both workers listen', () => listening().length === 2);
  await answersOfAll(listening(), answer);
  assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
  const died = () => script.events({ everybody: true }).filter(([name]) => name === 'died');
  await script.until(
    'the old workers are gone',
    () => listening().length === 4 && died().length === 2,
  );
  await answersOfAll(listening().slice(2), answer);
  script.kill('SIGTERM');
  assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  assert.strictEqual(script.errors, '');
}

module.exports = { serves };
