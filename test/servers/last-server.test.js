'use strict';

// A script that closes its last server ends, as in plain Node, and is replaced.

const assert = require('node:assert');
const { startPlain } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { isAlive } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { elapse } = require('../helpers/wait');

describe('a plain script', () => {
  let script;
  const ask = async (url) => Number((await request(script.port, url, { agent: false })).body);
  const start = async () => {
    script = await startPlain({ file: 'last-server.js', env: { OTHER: String(await freePort()) } });
  };

  it('that closes its last server ends, and is replaced', async () => {
    await start();
    const pid = await ask('/close');
    await script.until('it is gone', () =>
      script.errors.includes(`worker ${pid} is gone (crash, exit code 3)`));
    await script.until('another one is there', () =>
      (script.errors.match(/worker \d+ is ready/g) ?? []).length === 3);
    assert.ok(!script.workers().includes(pid));
  });

  for (const [what, url] of Object.entries({
    'has another server': '/open',
    'listens again': '/again',
  })) {
    it(`that closes a server and ${what} goes on`, async () => {
      await start();
      const pid = await ask(url);
      await elapse(500, 'a process with nothing to do would have ended');
      assert.ok(isAlive(pid) && script.workers().includes(pid));
    });
  }
});
