'use strict';

// A master that cannot take over: the old one goes on, and no client notices.

const assert = require('node:assert');
const path = require('node:path');
const Cluster = require('../..');
const { Connection } = require('../helpers/client');
const { childrenOf, isAlive } = require('../helpers/cluster');
const hammer = require('../helpers/hammer');
const { change, startServer } = require('../helpers/hammered');
const { NODE } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const {
  descriptorsOf, endAll, idleConnections, lastHeir, masterOf, told, upgrade,
} = require('../helpers/upgrades');
const { until } = require('../helpers/wait');

const SCRIPT = path.join(__dirname, '..', 'fixtures', 'hammered.js');
const FAILED = { code: 'CLUSTER2_ERR_UPGRADE_FAILED' };

/** Reasons why it fails: the request, the code on disk, and the pattern of the error. */
const REASONS = {
  'its script throws': {
    request: { command: NODE, args: ['-e', 'throw new Error("so broken")'] },
    message: /exited with code 1; its last lines:\n[^]*Error: so broken/,
  },
  'there is no such program': {
    request: { command: 'there-is-no-such-program' },
    message: /cannot start there-is-no-such-program: No such file/,
  },
  'its options are refused': {
    request: { env: { OPTIONS: '{"noWorkers": 0}' } },
    message: /option 'noWorkers' must be/,
  },
  'no worker becomes ready': {
    code: 'throw new Error("no worker today");',
    message: /no worker today/,
  },
  'one of its workers fails': {
    code: 'if (require("cluster").worker?.id % 2) throw new Error("odd");',
    message: /odd/,
  },
  'its workers are not ready in time': {
    code: 'exports.begin = () => {};',
    request: { timeout: 1500 },
    message: /not ready within 1.5 s/,
  },
  'its workers hang once they listen': {
    code: `exports.begin = (go) => {
      go();
      const hang = () => { for (const end = Date.now() + 6000; Date.now() < end;); };
      if (require('cluster').isWorker) setTimeout(hang, 300);
    };`,
    request: { env: { OPTIONS: '{"minReadyTime": 1000}' }, timeout: 3000 },
    message: /not ready within 3 s/,
  },
  'it is behind a shell': {
    request: { command: '/bin/sh', args: ['-c', `"${NODE}" "${SCRIPT}"; exit 3`] },
    message: /a script has to start it with exec/,
  },
  'it is not a cluster': {
    request: { command: NODE, args: ['-e', 'setInterval(() => {}, 1000)'], timeout: 500 },
    message: /not ready within 0.5 s/,
  },
};

/** Checks that nothing has changed. */
async function assertUndone(script, before) {
  assert.strictEqual(masterOf(script), script.pid);
  await until('its children are its workers', () =>
    String(childrenOf(script.pid).sort()) === String(before.workers));
  const { master } = await script.status();
  assert.deepStrictEqual([master.state, master.upgrade], ['running', null]);
  await until('nothing is left open', () =>
    descriptorsOf(script.pid).length <= before.open.length);
}

const snapshot = (script) => ({
  workers: childrenOf(script.pid).sort(),
  open: descriptorsOf(script.pid),
});

describe('an upgrade that fails', function () {
  this.timeout(60_000);

  for (const [reason, { request, code, message }] of Object.entries(REASONS)) {
    it(`is undone where ${reason}`, async () => {
      const script = await startServer({ env: { KEEP_ALIVE: '60000' } });
      const before = snapshot(script);
      const idle = await idleConnections(script.port, 20);
      const load = hammer.start(script.port, { clients: { keepAlive: 8, oneShot: 8, late: 4 } });
      await load.answered(50);
      if (code) change(script, code);
      await assert.rejects(upgrade(script, request), { ...FAILED, message });
      await load.answered(50);
      hammer.assertClean(await load.stop());
      await idle.check();
      idle.end();
      await assertUndone(script, before);
      // The next upgrade succeeds.
      change(script, 'exports.version = "good";');
      await upgrade(script, { timeout: 20_000 });
      await endAll(script);
    });
  }

  // The new master is then no child of this one.
  it('is undone where there is no such program, under a service manager', async () => {
    const script = await startServer({ env: { NOTIFY_SOCKET: '@cluster2-test-nobody' } });
    const before = snapshot(script);
    const request = { command: 'there-is-no-such-program' };
    await assert.rejects(upgrade(script, request), { ...FAILED, message: /No such file/ });
    await assertUndone(script, before);
    await endAll(script);
  });

  it('is undone where the new master ignores SIGTERM', async () => {
    const script = await startServer();
    const code = 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000);';
    const request = { command: NODE, args: ['-e', code], timeout: 300 };
    await assert.rejects(upgrade(script, request), FAILED);
    assert.ok(!isAlive(lastHeir(script)));
    await endAll(script);
  });

  it('is undone where another port is taken', async () => {
    const script = await startServer();
    const other = await startServer();
    const options = JSON.stringify({ port: [script.port, other.port] });
    await assert.rejects(upgrade(script, { env: { OPTIONS: options } }), {
      ...FAILED,
      message: /already in use/,
    });
    await endAll(script);
    await endAll(other);
  });

  it('ends with the old master, even if it has not begun', async () => {
    const script = await startServer();
    const code = 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000);';
    const request = { command: NODE, args: ['-e', code] };
    const failed = assert.rejects(upgrade(script, request));
    await until('the new master was started', () => lastHeir(script));
    const heir = lastHeir(script);
    script.kill();
    await failed;
    assert.strictEqual((await script.ended()).code, 0);
    await until('it is gone', () => !isAlive(heir));
  });

  it('is undone by a shutdown', async () => {
    const script = await startServer();
    change(script, 'exports.begin = () => {};');
    const failed = assert.rejects(upgrade(script), { ...FAILED, message: /shutting down/ });
    await until('the new master was started', () => lastHeir(script));
    script.kill();
    await failed;
    assert.deepStrictEqual((await script.ended()).code, 0);
    assert.ok(!isAlive(lastHeir(script)));
  });

  it('answers the requests of the new workers if a shutdown undoes it', async () => {
    const script = await startServer();
    change(script, 'exports.version = "second";');
    const env = { OPTIONS: JSON.stringify({ noWorkers: 2, minReadyTime: 20_000 }) };
    const failed = assert.rejects(upgrade(script, { env }), { ...FAILED, message: /shutting/ });
    await until('the new workers are ready', () => told(script, 'listening').length === 4);
    const slow = Array.from({ length: 40 }, () => new Connection(script.port));
    for (const { socket } of slow) socket.write('GET /late/a/1500 HTTP/1.1\r\nHost: x\r\n\r\n');
    await until('all are asked', async () =>
      slow.every(({ localPort }) => localPort) &&
        (await script.status()).workers.some(({ requests }) => requests.active > 0));
    script.kill();
    await Promise.all(slow.map((one) => one.isClosed()));
    const isAnswered = ({ received }) => /^HTTP\/1\.1 200 [^]*\r\n\r\na /.test(received);
    assert.deepStrictEqual(slow.filter((one) => !isAnswered(one)), []);
    assert.ok(slow.some(({ received }) => received.includes(' second ')));
    await failed;
    assert.deepStrictEqual((await script.ended()).code, 0);
    assert.ok(!isAlive(lastHeir(script)));
  });
});

describe('one change at a time', function () {
  this.timeout(60_000);
  const WRONG = { code: 'CLUSTER2_ERR_WRONG_STATE' };

  it('refuses a second upgrade and a reload while one runs', async () => {
    const script = await startServer();
    change(script, 'exports.begin = () => {};');
    const cluster = new Cluster({ pids: script.pids });
    const first = assert.rejects(upgrade(script, { timeout: 2000 }), FAILED);
    await until('the new master was started', () => lastHeir(script));
    await assert.rejects(cluster.upgrade(), WRONG);
    await assert.rejects(cluster.reload(), WRONG);
    const { upgrade: shown } = (await cluster.status()).master;
    assert.deepStrictEqual([shown.pid, shown.state], [lastHeir(script), 'starting']);
    await first;
    await endAll(script);
  });

  it('refuses an upgrade while a reload runs', async () => {
    const script = await startServer();
    change(script, 'exports.begin = (go) => setTimeout(go, 1000);');
    const cluster = new Cluster({ pids: script.pids });
    const reload = cluster.reload();
    await until('the reload runs', async () => (await cluster.status()).master.reload);
    await assert.rejects(cluster.upgrade(), WRONG);
    await reload;
    await endAll(script);
  });

  it('checks what it is called with', async () => {
    const cluster = new Cluster({ pids: `/tmp/none-${await freePort()}` });
    const wrong = [{ command: 3 }, { args: ['a'] }, { env: { A: 1 } }, { cwd: '' }, { timeout: 0 }];
    for (const options of wrong) {
      await assert.rejects(cluster.upgrade(options), { code: 'CLUSTER2_ERR_ARGUMENT_INVALID' });
    }
    await assert.rejects(cluster.upgrade(), { code: 'CLUSTER2_ERR_NOT_RUNNING' });
  });
});
