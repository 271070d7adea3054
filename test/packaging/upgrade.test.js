'use strict';

// Another version of this package takes over: from an installed release to this clone, and back.
// `CLUSTER2_PREVIOUS` names a folder in which a former release is installed; without it, the
// test installs what this clone would release.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Script } = require('../helpers/cluster');
const hammer = require('../helpers/hammer');
const { PLATFORM, ROOT, lay, removeFolders } = require('../helpers/installed');
const { NODE } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const {
  INSTALLED_APP, endAll, idleConnections, masterOf, upgrade,
} = require('../helpers/upgrades');

const FIXTURES = path.join(__dirname, '..', 'fixtures');

function install() {
  const previous = process.env.CLUSTER2_PREVIOUS;
  if (previous) return previous;
  const program = fs.readFileSync(path.join(ROOT, `cluster2.${PLATFORM}`));
  return lay('hoisted', { program }).folder;
}

describe('an upgrade from an installed release', function () {
  this.timeout(60_000);
  afterEach(removeFolders);

  it('to this clone, and back, costs nothing', async () => {
    const app = path.join(install(), 'upgrade-app.js');
    fs.writeFileSync(app, INSTALLED_APP);
    const script = new Script(app, { port: await freePort(), env: { KEEP_ALIVE: '60000' } });
    await script.ready();
    const idle = await idleConnections(script.port, 20);
    const load = hammer.start(script.port);
    await load.answered(50);
    for (const file of [path.join(FIXTURES, 'hammered.js'), app]) {
      await upgrade(script, { command: NODE, args: [file] });
      const command = fs.readFileSync(`/proc/${masterOf(script)}/cmdline`, 'utf8');
      assert.ok(command.includes(file), command);
      await load.answered(50);
    }
    hammer.assertClean(await load.stop());
    await idle.check();
    idle.end();
    await endAll(script);
    fs.rmSync(app);
  });
});
