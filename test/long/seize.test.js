'use strict';

// As `hangs/seize-race`, with a build that takes connections at any moment, not only from workers
// that are stuck. CLUSTER2_LONG_RACE: how many seconds each race takes.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { freePort } = require('../helpers/ports');
const { race } = require('../helpers/race');

const ROOT = path.join(__dirname, '..', '..');
const TARGET = path.join(ROOT, 'target', 'chaos');
const TIME = Number(process.env.CLUSTER2_LONG_RACE ?? 60) * 1000;

/** Builds the addons, and returns a folder with them and with all that is JavaScript. */
function build() {
  const folder = path.join(TARGET, 'package');
  fs.rmSync(folder, { recursive: true, force: true });
  for (const name of ['index.js', 'package.json', 'lib'])
    fs.cpSync(path.join(ROOT, name), path.join(folder, name), { recursive: true });
  const RUSTFLAGS = `${process.env.RUSTFLAGS ?? ''} --cfg cluster2_chaos`;
  const env = { ...process.env, RUSTFLAGS, CARGO_TARGET_DIR: TARGET };
  const script = `require('./scripts/build').build({ outputDir: ${JSON.stringify(folder)} })`;
  execFileSync(process.execPath, ['-e', script], { cwd: ROOT, env, stdio: 'inherit' });
  return folder;
}

describe('a race of clients with workers whose connections are taken at any moment', () => {
  let from;
  before(() => (from = build()));

  for (const kind of ['port', 'unix socket']) {
    it(`loses and doubles nothing, at a ${kind}`, async () => {
      const folder = fs.mkdtempSync('/tmp/cluster2-race-');
      const port = kind === 'port' ? await freePort() : path.join(folder, 's');
      const { requests, moved } = await race(port, { clients: 64, time: TIME, from });
      console.log(`      ${requests} requests, ${moved} connections taken`);
      assert.ok(moved > requests / 2, `${moved} connections were taken`);
    });
  }
});
