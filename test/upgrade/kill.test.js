'use strict';

// One of the two masters is killed while one takes over from the other: the one that lives serves,
// no connection is refused, and commands are answered.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const Cluster = require('../..');
const { startPlain } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { childrenOf, isAlive } = require('../helpers/cluster');
const hammer = require('../helpers/hammer');
const { change, startServer } = require('../helpers/hammered');
const { endAll, lastHeir, masterOf, told, upgrade } = require('../helpers/upgrades');
const { until } = require('../helpers/wait');

/** Moments of an upgrade, and how to know them. */
const MOMENTS = {
  'right after its start': (script) => told(script, 'upgrading').length === 1,
  'when its first worker was started': (script) => told(script, 'forked').length >= 3,
  'when its first worker is ready': (script) => told(script, 'listening').length >= 3,
  'when all its workers are ready': (script) => told(script, 'listening').length >= 4,
};

const kill = (pid) => process.kill(pid, 'SIGKILL');
const FAILED = { code: 'CLUSTER2_ERR_UPGRADE_FAILED' };

/** Any killed master costs what its workers had just accepted, with or without an upgrade. */
const ITS_OWN = { except: ['reset', 'empty'] };

const load = (script) => hammer.start(script.port, { clients: { oneShot: 12 } });

describe('a master that is killed during an upgrade', function () {
  this.timeout(60_000);

  for (const [moment, isThere] of Object.entries(MOMENTS)) {
    it(`costs nothing if it is the new one, ${moment}`, async () => {
      const script = await startServer({ options: { minReadyTime: 400 } });
      const workers = childrenOf(script.pid).sort();
      const clients = load(script);
      await clients.answered(30);
      const failed = assert.rejects(upgrade(script), { ...FAILED, message: /SIGKILL/ });
      await until(moment, () => isThere(script));
      kill(lastHeir(script));
      await failed;
      await clients.answered(30);
      hammer.assertClean(await clients.stop());
      assert.deepStrictEqual(
        [masterOf(script), childrenOf(script.pid).sort()],
        [script.pid, workers],
      );
      await upgrade(script);
      await endAll(script);
    });

    it(`leaves the new one alone if it is the old one, ${moment}`, async () => {
      const script = await startServer({ options: { minReadyTime: 400 } });
      const clients = load(script);
      await clients.answered(30);
      const lost = assert.rejects(upgrade(script), { code: 'CLUSTER2_ERR_CONTROL' });
      await until(moment, () => isThere(script));
      script.kill('SIGKILL');
      await lost;
      const heir = lastHeir(script);
      await until('the new one is master', () => masterOf(script) === heir);
      await until('it has its workers', () => childrenOf(heir).length === 2);
      await clients.answered(30);
      hammer.assertClean(await clients.stop(), ITS_OWN);
      const cluster = new Cluster({ pids: script.pids });
      assert.strictEqual((await cluster.status()).master.pid, heir);
      assert.strictEqual((await request(script.port, '/now/a/0')).status, 200);
      await cluster.shutdown({ wait: true });
      await until('it has ended', () => !isAlive(heir));
      await assert.rejects(request(script.port, '/now/a/0'), { code: 'ECONNREFUSED' });
    });
  }

  it('leaves the new one alone if it is the old one and no new worker listens yet', async () => {
    // A plain script: nothing but its workers binds the port.
    const script = await startPlain();
    const old = childrenOf(script.pid);
    change(
      script,
      `exports.begin = (go) =>
        require('fs').existsSync('go') ? go() : setTimeout(exports.begin, 10, go);`,
    );
    const clients = load(script);
    await clients.answered(30);
    const cluster = new Cluster({ pids: script.pids });
    const lost = assert.rejects(upgrade(script), { code: 'CLUSTER2_ERR_CONTROL' });
    const heir = await until(
      'there is a new one',
      async () => (await cluster.status()).master.upgrade?.pid,
    );
    await until('its workers run', () => childrenOf(heir).length === 2);
    script.kill('SIGKILL');
    await lost;
    await until('the old workers are gone', () => !old.some(isAlive));
    // Nobody accepts, and nobody is refused.
    const waits = request(script.port, '/now/a/0');
    await until('the new one is master', () => masterOf(script) === heir);
    fs.writeFileSync(path.join(script.cwd, 'go'), '');
    assert.strictEqual((await waits).status, 200);
    await clients.answered(30);
    hammer.assertClean(await clients.stop(), ITS_OWN);
    await cluster.shutdown({ wait: true });
    await until('it has ended', () => !isAlive(heir));
  });

  it('has the old one return if it is the new one, while the old one drains', async () => {
    const script = await startServer();
    const slow = request(script.port, '/late/a/3000');
    await until('the request is under way', async () =>
      (await script.status()).workers.some(({ requests }) => requests.active > 0));
    const clients = load(script);
    const failed = assert.rejects(upgrade(script), { ...FAILED, message: /runs again/ });
    await until('the new one has taken over', () => told(script, 'takeover').length === 1);
    kill(lastHeir(script));
    await failed;
    assert.strictEqual(masterOf(script), script.pid);
    await script.until('it has workers again', () => told(script, 'listening').length >= 6);
    assert.strictEqual((await slow).status, 200);
    await clients.answered(30);
    const { refused, failed: broken } = await clients.stop();
    assert.deepStrictEqual([refused, broken], [0, 0]);
    await upgrade(script);
    await endAll(script);
  });

  it('has the old one return if the new one gives up while the old one drains', async () => {
    const script = await startServer();
    const slow = request(script.port, '/late/a/3000');
    await until('the request is under way', async () =>
      (await script.status()).workers.some(({ requests }) => requests.active > 0));
    const env = { OPTIONS: '{"noWorkers":1,"giveUpAfter":1,"minReadyTime":50}' };
    const failed = assert.rejects(upgrade(script, { env }), { ...FAILED, message: /runs again/ });
    await until('the new one has taken over', () => told(script, 'takeover').length === 1);
    const [worker] = childrenOf(lastHeir(script));
    kill(worker);
    await failed;
    // Its end has closed nothing that the old one shares with it.
    assert.strictEqual((await request(script.port, '/now/a/0')).status, 200);
    assert.strictEqual((await slow).status, 200);
    await endAll(script);
  });

  it('costs nothing more if it is the old one, while it drains', async () => {
    const script = await startServer();
    const slow = request(script.port, '/late/a/3000');
    await until('the request is under way', async () =>
      (await script.status()).workers.some(({ requests }) => requests.active > 0));
    const clients = load(script);
    const lost = assert.rejects(upgrade(script), { code: 'CLUSTER2_ERR_CONTROL' });
    await until('the new one has taken over', () => told(script, 'takeover').length === 1);
    script.kill('SIGKILL');
    await lost;
    assert.strictEqual((await slow).status, 200);
    await clients.answered(30);
    hammer.assertClean(await clients.stop(), ITS_OWN);
    await new Cluster({ pids: script.pids }).shutdown({ wait: true });
    await until('it has ended', () => !isAlive(lastHeir(script)));
  });

  it('ends both if the new one is told to end, while the old one drains', async () => {
    const script = await startServer();
    change(script, 'exports.version = "second";');
    const slow = request(script.port, '/late/a/1500');
    await until('the request is under way', async () =>
      (await script.status()).workers.some(({ requests }) => requests.active > 0));
    const upgraded = new Cluster({ pids: script.pids }).upgrade();
    await until('the new one has taken over', () => told(script, 'takeover').length === 1);
    await new Cluster({ pids: script.pids }).shutdown();
    assert.strictEqual((await slow).status, 200);
    await upgraded;
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    await assert.rejects(request(script.port, '/now/a/0'), { code: 'ECONNREFUSED' });
  });
});
