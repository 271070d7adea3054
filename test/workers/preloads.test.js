'use strict';

// What `NODE_OPTIONS` preload (tracers, exporters) runs in a worker, as all of its script does, and
// nothing shows that ours is loaded before it.

const assert = require('node:assert');
const path = require('node:path');
const { cluster2, startPlain } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { serves, settled } = require('../helpers/spares');

const fixture = (name) => path.join(__dirname, '..', 'fixtures', name);
const PRELOAD = `--require ${fixture('preload-listens.js')}`;

const pidsOn = async (port, count) => {
  const all = await Promise.all(Array.from({ length: count }, () => request(port, '/')));
  return new Set(all.map(({ body }) => Number(/\d+/.exec(body)[0])));
};

describe('a server that a preload has listening', () => {
  it('is served by all workers, and by a spare once it is activated', async () => {
    const early = await freePort();
    const env = { NODE_OPTIONS: PRELOAD, EARLY_PORT: String(early) };
    const script = await startPlain({ file: 'observed.js', flags: ['--spares', '1'], env });
    const { ready, spares: [spare] } = await settled(script);
    const sorted = (pids) => [...pids].sort();
    assert.deepStrictEqual(sorted(await pidsOn(early, 40)), sorted(ready));
    assert.deepStrictEqual(sorted(await pidsOn(script.port, 40)), sorted(ready));
    process.kill(ready[0], 'SIGKILL');
    await serves(script, spare);
    assert.ok((await pidsOn(early, 40)).has(spare));
  });

  it('is served in a cluster of the API too, whose flags name the preload', async () => {
    const early = await freePort();
    const env = { EARLY_PORT: '0' };
    const options = { execArgv: PRELOAD.split(' '), env: { EARLY_PORT: String(early) } };
    const script = await new Script('http.js', { port: await freePort(), env, options }).ready();
    const workers = script.workers().sort();
    assert.deepStrictEqual([...await pidsOn(early, 40)].sort(), workers);
  });
});

describe('NODE_OPTIONS', () => {
  const cases = {
    'a preload': `--no-warnings --require ${fixture('observing.js')}`,
    'a quoted preload': `--max-old-space-size=300 "-r" "${fixture('observing.js')}"`,
    'no preload': '--max-old-space-size=300',
    'none at all': undefined,
  };
  for (const [what, NODE_OPTIONS] of Object.entries(cases)) {
    it(`are what they were for a script, its children and people: ${what}`, async () => {
      const env = NODE_OPTIONS && { NODE_OPTIONS };
      const script = await startPlain({ file: 'node-options.js', env });
      const seen = JSON.parse((await request(script.port, '/')).body);
      const child = NODE_OPTIONS ?? 'undefined';
      const expected = { NODE_OPTIONS: NODE_OPTIONS ?? null, execArgv: [], child };
      assert.deepStrictEqual(seen, expected);
      if (NODE_OPTIONS === undefined) return;
      const [pid] = script.workers();
      const { stdout } = cluster2(script.cwd, 'env', String(pid), 'NODE_OPTIONS');
      assert.strictEqual(stdout, `NODE_OPTIONS=${NODE_OPTIONS}\n`);
    });
  }
});
