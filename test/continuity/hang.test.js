'use strict';

// A worker whose event loop is stuck delays only its own clients. A stopped process does not count
// as hanging.

const assert = require('node:assert');
const { ask } = require('../helpers/ask');
const { Connection, request } = require('../helpers/client');
const { Script, isAlive } = require('../helpers/cluster');
const hammer = require('../helpers/hammer');
const {
  Log, assertCleanEnd, change, startServer, stopClock,
} = require('../helpers/hammered');
const { freePort } = require('../helpers/ports');
const { elapse, until } = require('../helpers/wait');

/** Blocks a worker for `ms` milliseconds by a request. Returns its pid, and the outcome of that. */
async function block(script, ms) {
  const before = script.events({ allProcesses: true }).length;
  const done = request(script.port, `/block/b/${ms}`).catch((error) => error);
  const blocking = () =>
    script
      .events({ allProcesses: true })
      .slice(before)
      .find(([name]) => name === 'blocking');
  const early = done.then((answer) => {
    assert.ok(
      blocking(),
      `no worker blocked, but there was an answer: ${answer.status} ${answer.body ?? answer.stack}`,
    );
  });
  const [, pid] = await Promise.race([
    script.until('a worker is blocked', blocking),
    early.then(() => blocking()),
  ]);
  return { pid, done };
}

/** Checks that no request failed, and that only requests on connections of that worker waited. */
function assertOnlyItsOwnWaited(report, log, pid) {
  hammer.assertClean(report);
  const own = log.portsOf(pid);
  const innocent = report.slow.filter(({ localPort }) => !own.has(localPort));
  assert.deepStrictEqual(
    innocent,
    [],
    'waited, and had not been taken by the worker that was stuck',
  );
}

describe('a worker that is stuck', () => {
  let log;
  beforeEach(() => (log = new Log()));
  afterEach(() => log.remove());
  const start = (options) => startServer({ options, env: { LOG: log.file } });

  for (const noWorkers of [2, 3]) {
    it(`for 3 s, one of ${noWorkers}, delays only its own connections, loses none`, async () => {
      const script = await start({ noWorkers });
      // Enough keep-alive clients that each worker has some.
      const clients = { ...hammer.allExcept(), keepAlive: 12 };
      const load = hammer.start(script.port, { clients });
      await load.answered(200);
      const { pid, done } = await block(script, 3000);
      const before = load.counts.ok;
      assert.match((await done).body, new RegExp(` ${pid}$`));
      assert.ok(load.counts.ok > before + 100, 'the other workers served meanwhile');
      await load.answered(100);
      const report = await load.stop();
      assertOnlyItsOwnWaited(report, log, pid);
      assert.deepStrictEqual(script.emitted('died'), []);
    });
  }

  it('together with all others, keeps new connections until one is free', async () => {
    const script = await start({ noWorkers: 2 });
    const both = [await block(script, 1500), await block(script, 1500)];
    assert.notStrictEqual(both[0].pid, both[1].pid);
    const load = hammer.start(script.port, { clients: { oneShot: 20 } });
    await load.answered(100);
    hammer.assertClean(await load.stop());
  });

  it('for longer than maxHeartbeatDelay is killed and replaced; others lose nothing', async () => {
    const script = await start({ noWorkers: 2, maxHeartbeatDelay: 2000 });
    const load = hammer.start(script.port, { clients: { oneShot: 10, halfOpen: 2 } });
    await load.answered(100);
    const { pid, done } = await block(script, 60_000);
    await script.until('another one is there', () => script.emitted('listening').length === 3);
    assert.ok((await done) instanceof Error, 'its own request is lost');
    await load.answered(100);
    const report = await load.stop();
    const own = log.portsOf(pid);
    assert.deepStrictEqual(report.troubles.filter(({ localPort }) => !own.has(localPort)), []);
    const [[stuck, { age }]] = script.emitted('unresponsive');
    assert.strictEqual(stuck, pid);
    assert.ok(age > 2000 && age < 5000, `${age}`);
    await script.until('its death is reported', () => script.emitted('died').length === 1);
    const [[killed, { stack, ...death }]] = script.emitted('died');
    const expected = { code: null, signal: 'SIGKILL', reason: 'unresponsive', waiting: null };
    assert.deepStrictEqual([killed, death], [pid, expected]);
    assert.match(stack, /^ {4}at block \(.*hammered-app\.js:\d+:\d+\)$/m);
    assert.strictEqual(script.emitted('unresponsive').length, 1);
  });

  it('is not confused with an idle one, at the shortest maxHeartbeatDelay', async () => {
    const script = await start({ noWorkers: 2, maxHeartbeatDelay: 1000 });
    await elapse(4000, 'four times the limit');
    assert.deepStrictEqual([script.emitted('unresponsive'), script.emitted('died')], [[], []]);
  });

  it('does not delay a reload, and answers its own request', async () => {
    const script = await start({ noWorkers: 2 });
    const { pid, done } = await block(script, 2500);
    const load = hammer.start(script.port);
    script.kill('SIGHUP');
    await script.until('the reload is done', () => script.emitted('reload').length === 1);
    assert.match((await done).body, new RegExp(` ${pid}$`));
    await script.until('the old workers are gone', () => script.emitted('died').length === 2);
    hammer.assertClean(await load.stop());
  });
});

describe('SIGSTOP for a while', () => {
  let log;
  beforeEach(() => (log = new Log()));
  afterEach(() => log.remove());
  const start = (options) => startServer({ options, env: { LOG: log.file } });

  const stopFor = async (ms, ...pids) => {
    pids.forEach((pid) => process.kill(pid, 'SIGSTOP'));
    await elapse(ms, 'the processes are stopped for that long');
    pids.forEach((pid) => process.kill(pid, 'SIGCONT'));
  };

  async function assertNobodyDied(script, load) {
    await load.answered(200);
    const report = await load.stop();
    hammer.assertClean(report);
    assert.deepStrictEqual([script.emitted('unresponsive'), script.emitted('died')], [[], []]);
    script.kill();
    await assertCleanEnd(script);
    return report;
  }

  it('to a worker, under the limit: it is not killed, only its connections wait', async () => {
    const script = await start({ noWorkers: 2, maxHeartbeatDelay: 5000 });
    const load = hammer.start(script.port);
    await load.answered(100);
    const [victim] = script.workers();
    await stopFor(2000, victim);
    assertOnlyItsOwnWaited(await assertNobodyDied(script, load), log, victim);
  });

  it('to the master, over the limit: no worker is killed, new connections wait', async () => {
    const script = await start({ noWorkers: 2, maxHeartbeatDelay: 1500 });
    const load = hammer.start(script.port);
    await load.answered(100);
    await stopFor(3000, script.pid);
    await assertNobodyDied(script, load);
  });

  it('to the whole cluster, as when a machine is suspended: no worker is killed', async () => {
    const script = await start({ noWorkers: 2, maxHeartbeatDelay: 1500 });
    const load = hammer.start(script.port);
    await load.answered(100);
    await stopFor(3000, script.pid, ...script.workers());
    await assertNobodyDied(script, load);
  });

  it('to the master, over startTimeout: a replacement ready in time takes over', async () => {
    const options = { noWorkers: 1, startTimeout: 1500 };
    const script = new Script('hammered.js', { port: await freePort(), options });
    const say = 'if (require("cluster").isWorker) console.log("begins");';
    change(script, `exports.begin = (go) => { ${say} go(); };`);
    const begins = () => script.output.match(/^begins$/gm)?.length;
    await stopClock(script, 1, 'the first worker begins', () => begins() === 1);
    await script.ready(1);
    const reloaded = ask(script.cwd, 'reload');
    await stopClock(script, 2, 'the replacement has begun, and the time is over', async () => {
      await elapse(2000, 'more than startTimeout');
      return begins() === 2;
    });
    assert.deepStrictEqual((await reloaded).ok, { replaced: 1 });
    assert.deepStrictEqual(script.emitted('warning'), []);
  });

  for (const who of ['the master', 'the whole cluster']) {
    it(`to ${who}, over shutdownTimeout: a drain keeps the time it had left`, async () => {
      const script = await start({ noWorkers: 1, shutdownTimeout: 1500 });
      const answered = request(script.port, '/late/l/1000');
      await script.until('it is taken', () => log.portsOf(script.workers()[0]).size > 0);
      await ask(script.cwd, 'shutdown');
      await stopFor(1600, script.pid, ...(who === 'the master' ? [] : script.workers()));
      assert.match((await answered).body, /^l /);
      await assertCleanEnd(script);
      assert.deepStrictEqual(
        script.emitted('died').map(([, { reason, signal }]) => [reason, signal]),
        [['shutdown', null]],
      );
    });
  }

  it('to a worker whose master is gone: it keeps the time that it had left', async () => {
    const script = await start({ noWorkers: 1, shutdownTimeout: 1500 });
    const [worker] = script.workers();
    const answered = request(script.port, '/late/l/1000');
    await script.until('it is taken', () => log.portsOf(worker).size > 0);
    script.kill('SIGKILL');
    await script.exited();
    await stopFor(1600, worker);
    assert.match((await answered).body, /^l /);
    await until('the orphan has ended', () => !isAlive(worker));
  });

  it('to a worker with half a request: it answers when it continues', async () => {
    const script = await start({ noWorkers: 1, maxHeartbeatDelay: 5000 });
    const connection = new Connection(script.port);
    connection.socket.write(
      'POST /now/half/0 HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n01234',
    );
    const taken = () => log.portsOf(script.workers()[0]).size > 0;
    await script.until('it is taken', taken);
    const stopped = stopFor(800, ...script.workers());
    connection.socket.write('56789');
    await connection.hears('half 10 ');
    await stopped;
    connection.socket.destroy();
  });
});
