'use strict';

// systemd itself: another master takes over, and becomes the main process of the service.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const Cluster = require('../..');
const { request } = require('../helpers/client');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const hammer = require('../helpers/hammer');
const { NODE } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const { Systemd, UNIT, canRun } = require('../helpers/systemd');
const { until } = require('../helpers/wait');

const SCRIPT = path.join(__dirname, '..', 'fixtures', 'hammered.js');
/** Starts a service of this cluster. Returns it, its port and its folder. */
async function startService() {
  const folder = emptyFolder();
  const port = await freePort();
  const systemd = new Systemd(`
Type=notify
WorkingDirectory=${folder}
Environment=PORT=${port} 'OPTIONS={"minReadyTime":50}'
ExecStart=${NODE} ${SCRIPT}
StandardOutput=append:${folder}/output
StandardError=append:${folder}/output
KillMode=mixed
WatchdogSec=10
Restart=on-failure
RestartSec=0`);
  return { systemd, port, folder };
}

const FINE = { ActiveState: 'active', NRestarts: '0', Result: 'success' };

describe('a service of systemd', function () {
  this.timeout(60_000);
  let systemd;
  afterEach(async () => {
    await systemd?.end();
    removeFolders();
  });

  it('goes on with another main process after an upgrade, and stops with it', async function () {
    if (!canRun()) return this.skip();
    const { port, folder, ...service } = await startService();
    ({ systemd } = service);
    await systemd.is('active');
    const cluster = new Cluster({ pids: path.join(folder, 'pids') });
    const mainPid = () => Number(systemd.show('MainPID').MainPID);
    assert.strictEqual(mainPid(), (await cluster.status()).master.pid);
    const load = hammer.start(port);
    await load.answered(50);
    for (let time = 1; time <= 3; time++) {
      const { pid } = await cluster.upgrade();
      await until('it is the main process', () => mainPid() === pid);
      assert.deepStrictEqual(systemd.show('ActiveState', 'NRestarts', 'Result'), FINE);
      await load.answered(50);
    }
    hammer.assertClean(await load.stop());
    const slow = request(port, '/late/a/1500');
    await until('the request is under way', async () =>
      (await cluster.status()).workers.some(({ requests }) => requests.active > 0));
    systemd.run('systemctl', 'stop', UNIT);
    assert.strictEqual((await slow).status, 200);
    const { ExecMainStatus, Result } = systemd.show('ExecMainStatus', 'Result');
    assert.deepStrictEqual([ExecMainStatus, Result], ['0', 'success']);
    assert.deepStrictEqual(fs.readdirSync(path.join(folder, 'pids')), []);
  });

  it('comes back by itself if its main process after an upgrade is killed', async function () {
    if (!canRun()) return this.skip();
    const { folder, ...service } = await startService();
    ({ systemd } = service);
    await systemd.is('active');
    const cluster = new Cluster({ pids: path.join(folder, 'pids') });
    const { pid } = await cluster.upgrade();
    await until('it is the main process', () => Number(systemd.show('MainPID').MainPID) === pid);
    systemd.run('kill', '-KILL', `${pid}`);
    await until('it was started again', () => systemd.show('NRestarts').NRestarts === '1');
    await systemd.is('active');
    const { master } = await cluster.status();
    assert.strictEqual(Number(systemd.show('MainPID').MainPID), master.pid);
    systemd.run('systemctl', 'stop', UNIT);
  });
});
