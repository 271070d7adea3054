'use strict';

// A worker has an addon of its own with only what it needs, because each page of it counts once for
// each worker. The main addon comes into a worker only for what needs it.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { PLATFORM, ROOT, lay, removeFolders } = require('../helpers/installed');
const { freePort } = require('../helpers/ports');
const { assertServes } = require('../helpers/tarballs');

const MAIN = `cluster2-rs.${PLATFORM}.node`;
const OWN = `cluster2-worker.${PLATFORM}.node`;

/** The addons that a process has mapped. */
function addonsOf(pid) {
  const maps = fs.readFileSync(`/proc/${pid}/maps`, 'utf8');
  return [MAIN, OWN].filter((name) => maps.includes(`/${name}`));
}

describe('the addon of a worker', () => {
  afterEach(removeFolders);

  const start = async (settings) => new Script('http.js', { port: await freePort(), ...settings }).ready();

  it('is its own, and the master has the main one', async () => {
    const script = await start();
    assert.deepStrictEqual(addonsOf(script.pid), [MAIN]);
    for (const pid of script.workers()) assert.deepStrictEqual(addonsOf(pid), [OWN]);
  });

  it('is its own under the command line too, whose script knows nothing of us', async () => {
    const script = await start({ cli: [] });
    for (const pid of script.workers()) assert.deepStrictEqual(addonsOf(pid), [OWN]);
  });

  it('is joined by the main one for the monitor URI', async () => {
    const script = await start({ options: { ecv: { monitor: '/' } } });
    for (const pid of script.workers()) assert.deepStrictEqual(addonsOf(pid), [MAIN, OWN]);
    assert.strictEqual((await request(script.port, '/ecv')).status, 200);
  });

  it('has nothing of the libraries that only the main one needs', () => {
    const [own, main] = [OWN, MAIN].map((name) => fs.readFileSync(path.join(ROOT, name), 'latin1'));
    // Paths of sources, which are in the messages of panics.
    for (const library of ['tokio', 'hyper', 'rustls']) {
      const source = new RegExp(`/${library}-[0-9.]+/src/`);
      assert.match(main, source);
      assert.doesNotMatch(own, source);
    }
    assert.ok(own.length * 3 < main.length, `${own.length} of ${main.length} bytes`);
  });

  it('may be missing: the main one has all of it', async () => {
    const { folder } = lay('hoisted');
    fs.rmSync(path.join(folder, 'node_modules', `cluster2-rs-${PLATFORM}`, OWN));
    await assertServes({ folder, env: process.env });
  });
});
