'use strict';

// The memory and descriptors of a master do not grow over time.

const assert = require('node:assert');
const { Script } = require('../helpers/cluster');
const { Load } = require('../helpers/load');
const { freePort } = require('../helpers/ports');

/**
 * The first reloads fill caches, let V8 compile hot code, and let each thread's arena reach its
 * size: glibc keeps up to 128 KB of free memory at the end of each.
 */
const WARM = 300;
const RELOADS = 1000;
/**
 * How much memory a reload may leave behind, in bytes. More than 0, for an allocator does not
 * return all pages. Live native blocks do not grow: heaptrack found 1.5 bytes a reload, the
 * monitor's history (docs/internals/performance.md).
 */
const EACH = 1000;

describe(`a master that made ${RELOADS} reloads under load`, () => {
  it('uses no more native memory, JavaScript memory and descriptors than before', async () => {
    const settings = {
      port: await freePort(),
      options: { noWorkers: 1, monPort: 0 },
      env: { RELOADS: String(RELOADS) },
    };
    const script = await new Script('flatness.js', {
      ...settings,
      execArgv: ['--expose-gc'],
    }).ready(1);
    const load = new Load(script.port, [{ clients: 2 }, { clients: 2, keepAlive: true }]);
    await script.until('all reloads are made', () => script.emitted('done').length > 0, 800_000);
    await load.stop();
    const held = script.emitted('holds').map(([holds]) => holds);
    const [warm] = held.filter(({ reloads }) => reloads === WARM);
    const last = held.at(-1);
    const grown = (what) => (last[what] - warm[what]) / (RELOADS - WARM);
    const table = JSON.stringify(held, null, 1);
    assert.ok(grown('script') < EACH, `JavaScript: ${grown('script')} bytes a reload; ${table}`);
    assert.ok(grown('native') < EACH, `native: ${grown('native')} bytes a reload; ${table}`);
    assert.ok(last.descriptors <= warm.descriptors + 10, table);
    console.log(
      `      bytes a reload: JavaScript ${Math.round(grown('script'))}, ` +
        `native ${Math.round(grown('native'))}`,
    );
  });
});
