'use strict';

// A worker has an addon of its own with only what it needs, because each page of it counts once for
// each worker. The main addon comes into a worker only for what needs it.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { PLATFORM, ROOT, lay, removeFolders } = require('../helpers/installed');
const { NODE } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const { assertServes } = require('../helpers/tarballs');

const MAIN = `cluster2-rs.${PLATFORM}.node`;
const OWN = `cluster2-worker.${PLATFORM}.node`;

/** The addons that a process has mapped. */
function addonsOf(pid) {
  const maps = fs.readFileSync(`/proc/${pid}/maps`, 'utf8');
  return [MAIN, OWN].filter((name) => maps.includes(`/${name}`));
}

/** The mappings of a file in a process, with sizes in KB. */
function mappingsOf(pid, name) {
  const found = [];
  for (const line of fs.readFileSync(`/proc/${pid}/smaps`, 'latin1').split('\n')) {
    const [, begin, end, flags, file] =
      line.match(/^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ *(.*)$/) ?? [];
    if (begin) found.push({ flags, size: (parseInt(end, 16) - parseInt(begin, 16)) / 1024, file });
    const [, key, size] = line.match(/^(\w+): +(\d+) kB$/) ?? [];
    if (key) found.at(-1)[key] = Number(size);
  }
  return found.filter(({ file }) => path.basename(file) === name);
}

/** One size of all mappings of a file, in KB. */
const memoryOf = (pid, name, key) =>
  mappingsOf(pid, name).reduce((sum, mapping) => sum + mapping[key], 0);

describe('the addon of a worker', () => {
  afterEach(removeFolders);

  const start = async (settings) =>
    new Script('http.js', { port: await freePort(), ...settings }).ready();

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

  it('takes little memory of each worker', async () => {
    const script = await start();
    for (const pid of script.workers()) {
      const own = memoryOf(pid, OWN, 'Anonymous');
      assert.ok(own > 0 && own < 128, `the loader and we wrote to ${own} KB of it`);
    }
  });

  it('leaves little of Node’s symbol tables in memory after loading', async function () {
    const script = await start();
    for (const pid of script.workers()) {
      const [{ flags, size, Rss }] = mappingsOf(pid, path.basename(NODE));
      // Not all builds of Node have them apart from their code.
      if (flags !== 'r--p') return this.skip();
      assert.ok(Rss < size / 2, `${Rss} of ${size} KB`);
    }
    return undefined;
  });

  it('may be missing: the main one has all of it', async () => {
    const { folder } = lay('hoisted');
    fs.rmSync(path.join(folder, 'node_modules', `cluster2-rs-${PLATFORM}`, OWN));
    await assertServes({ folder, env: process.env });
  });
});
