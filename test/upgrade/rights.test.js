'use strict';

// A master that has given up its rights: another one takes over with the same rights.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const Cluster = require('../..');
const { Script, canBecomeAnother } = require('../helpers/cluster');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const hammer = require('../helpers/hammer');
const { freePort } = require('../helpers/ports');
const { told } = require('../helpers/upgrades');
const { until } = require('../helpers/wait');

const FIXTURES = path.join(__dirname, '..', 'fixtures');
const NOBODY = 65_534;

/** A server whose master becomes nobody once its control socket is there. */
const SCRIPT = `
const fs = require('fs');
require(${JSON.stringify(path.join(FIXTURES, 'hammered.js'))});
const isRoot = require('cluster').isPrimary && process.getuid() === 0;
const timer = isRoot && setInterval(() => {
  if (!fs.existsSync('pids/control.sock')) return;
  clearInterval(timer);
  process.setgid(${NOBODY});
  process.setuid(${NOBODY});
}, 1);
`;

const userOf = (pid) => Number(/^Uid:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`))[1]);

describe('a master that has given up its rights', function () {
  this.timeout(60_000);
  afterEach(removeFolders);

  it('is replaced by one with the same rights, which answers commands', async function () {
    if (!canBecomeAnother()) return this.skip();
    const cwd = emptyFolder();
    fs.chmodSync(cwd, 0o755);
    const file = path.join(cwd, 'server.js');
    fs.writeFileSync(file, SCRIPT);
    const script = await new Script(file, { port: await freePort(), cwd }).ready();
    await until('it is nobody', () => userOf(script.pid) === NOBODY);
    const cluster = new Cluster({ pids: script.pids });
    // Workers that were started before still run as root.
    await cluster.reload();
    const load = hammer.start(script.port);
    await load.answered(50);
    const masters = [];
    for (let time = 1; time <= 2; time++) {
      const { pid } = await cluster.upgrade();
      masters.push(pid);
      assert.deepStrictEqual([userOf(pid), (await cluster.status()).master.pid], [NOBODY, pid]);
      await load.answered(50);
    }
    hammer.assertClean(await load.stop());
    const warnings = told(script, 'warning').map(([{ message }]) => message);
    const unwritable = /^cannot write .*master\.pid: Permission denied/;
    assert.ok(warnings.length > 0 && warnings.every((text) => unwritable.test(text)), `${warnings}`);
    assert.strictEqual(userOf(script.pid), NOBODY, 'the holder too');
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
  });
});
