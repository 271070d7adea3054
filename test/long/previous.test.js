'use strict';

// A former build, built and packed by itself, and the present one take over from each other, both
// installed from tarballs. The former one is the last release, or the first that knew of upgrades;
// `CLUSTER2_PREVIOUS_COMMIT` names another one. Its build takes minutes, once.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Script } = require('../helpers/cluster');
const hammer = require('../helpers/hammer');
const { ROOT, emptyFolder, removeFolders } = require('../helpers/installed');
const { NODE } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const { packPrevious, previousCommit } = require('../helpers/previous');
const { install, pack } = require('../helpers/tarballs');
const {
  INSTALLED_APP, endAll, idleConnections, masterOf, upgrade,
} = require('../helpers/upgrades');

const FIXTURES = path.join(__dirname, '..', 'fixtures');
/** How often each of the two takes over from the other one. */
const TIMES = Number(process.env.CLUSTER2_UPGRADES ?? 5);

const PLAIN = path.join(FIXTURES, 'plain.js');

describe(`an upgrade from ${previousCommit().slice(0, 7)}, as it was packed`, function () {
  this.timeout(40 * 60_000);
  let previous;
  let present;
  before(() => {
    previous = install(packPrevious(previousCommit())).folder;
    present = install(pack(ROOT, emptyFolder()).tarball).folder;
    for (const folder of [previous, present])
      fs.writeFileSync(path.join(folder, 'app.js'), INSTALLED_APP);
  });
  after(removeFolders);

  /** Runs the two in turn under load, as `commandOf` says for the folder of one. */
  async function takeTurns(script, commandOf) {
    const idle = await idleConnections(script.port, 50);
    const load = hammer.start(script.port, { clients: { keepAlive: 16, oneShot: 8, slow: 4 } });
    await load.answered(100);
    for (let time = 1; time <= TIMES; time++) {
      for (const folder of [present, previous]) {
        const command = commandOf(folder);
        await upgrade(script, command);
        const running = fs.readFileSync(`/proc/${masterOf(script)}/cmdline`, 'utf8');
        assert.ok(running.includes(folder), running);
        await load.answered(100);
      }
    }
    hammer.assertClean(await load.stop());
    await idle.check();
    idle.end();
    await endAll(script);
  }

  it('to the present build and back costs nothing', async () => {
    const app = path.join(previous, 'app.js');
    const script = new Script(app, { port: await freePort(), env: { KEEP_ALIVE: '60000' } });
    await script.ready();
    await takeTurns(script, (folder) => ({ command: NODE, args: [path.join(folder, 'app.js')] }));
  });

  it('to the present command line and back costs nothing', async () => {
    const program = (folder) => path.join(folder, 'node_modules', '.bin', 'cluster2');
    const script = new Script('unrelated-process.js', {
      port: await freePort(),
      env: { KEEP_ALIVE: '60000', CLUSTER2_MON_PORT: 'off', CLUSTER2_MIN_READY_TIME: '50' },
      through: [program(previous), 'start', '--workers', '2', '--node', NODE, PLAIN, '--'],
    });
    const isReady = () => (script.errors.match(/worker \d+ is ready/g) ?? []).length === 2;
    await script.until('its workers are ready', isReady);
    const args = ['start', '--workers', '2', '--node', NODE, PLAIN];
    await takeTurns(script, (folder) => ({ command: program(folder), args }));
  });
});
