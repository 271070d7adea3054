'use strict';

// Asks a cluster something from a process of its own, as a stop script does.

const assert = require('node:assert');
const { Script } = require('./cluster');

/**
 * Calls `new Cluster(options)[method](...args)` in the directory `cwd`, and checks that the asking
 * script ends by itself.
 * @returns {Promise<{ ok?: *, error?: { code: string, message: string }, took: number }>} `took`:
 *   milliseconds of the call
 */
async function ask(cwd, method, args = [], settings = {}) {
  const script = new Script('asker.js', { ...settings, cwd, args: [method, JSON.stringify(args)] });
  const end = await script.ended();
  assert.deepStrictEqual(end, { code: 0, signal: null }, script.errors);
  assert.strictEqual(script.errors, '');
  return JSON.parse(script.output);
}

module.exports = { ask };
