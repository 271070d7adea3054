'use strict';

// The tests of a process without workers pass without the addon too: the same clients see the same
// app, shutdown and end.

const assert = require('node:assert');
const { Script } = require('../helpers/cluster');
const { withoutAddon } = require('../helpers/fallback');

const MOCHA = require.resolve('mocha/bin/mocha.js');
const WITHIN = 60_000;

describe('without the addon', function () {
  this.timeout(2 * WITHIN);

  for (const [name, least] of Object.entries({ listeners: 6, process: 12, shutdown: 8 })) {
    it(`test/single/${name}.test.js passes`, async () => {
      const file = require.resolve(`../single/${name}.test.js`);
      const helpers = ['--require', require.resolve('../helpers/leaks')];
      const script = new Script(MOCHA, {
        args: ['--no-config', '--timeout', '20000', ...helpers, file],
        env: withoutAddon(),
        node: process.execPath,
      });
      assert.deepStrictEqual(await script.ended(WITHIN), { code: 0, signal: null }, script.output);
      const [, passed] = script.output.match(/(\d+) passing/) ?? [];
      assert.ok(Number(passed) >= least, script.output);
    });
  }
});
