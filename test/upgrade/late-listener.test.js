'use strict';

// A script whose servers begin to listen one after the other is not half there for a new master.

const assert = require('node:assert');
const Cluster = require('../..');
const { cluster2, startPlain } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');

const AFTER = 1500;

/** Asks again and again until `end` is called, which returns what failed. */
function asking(port) {
  const failed = [];
  let isEnded = false;
  const asked = (async () => {
    while (!isEnded) await request(port, '/').catch(({ code }) => failed.push(code));
  })();
  return { end: async () => ((isEnded = true), await asked, failed) };
}

describe('a server that listens later than another one of its script', () => {
  for (const command of ['upgrade', 'reload']) {
    it(`has no client refused by ${command}`, async () => {
      const env = { EARLY_PORT: String(await freePort()), AFTER: String(AFTER) };
      const script = await startPlain({ file: 'late-listener.js', env });
      const { port, cwd, pids } = script;
      const old = await until('it listens', () => request(port, '/').catch(() => undefined));
      const client = asking(port);
      await new Cluster({ pids })[command]();
      assert.deepStrictEqual(await client.end(), []);
      assert.notStrictEqual((await request(port, '/')).body, old.body);
      assert.strictEqual(cluster2(cwd, 'shutdown').status, 0);
    });
  }
});
