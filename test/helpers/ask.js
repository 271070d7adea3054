'use strict';

// Calls a method of a cluster from another process, as a stop script does.

const assert = require('node:assert');
const { Script } = require('./cluster');

/**
 * Calls `new Cluster(options)[method](...args)` in the directory `cwd`, and checks that the calling
 * script exits by itself.
 * @returns {Promise<{ ok?: *, error?: { code: string, message: string }, took: number }>} `took`:
 *   milliseconds of the call
 */
async function ask(cwd, method, args = [], settings = {}) {
  const script = new Script('call-method.js', {
    ...settings,
    cwd,
    args: [method, JSON.stringify(args)],
  });
  const end = await script.ended();
  assert.deepStrictEqual(end, { code: 0, signal: null }, script.errors);
  assert.strictEqual(script.errors, '');
  return JSON.parse(script.output);
}

module.exports = { ask };
