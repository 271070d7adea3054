'use strict';

// A worker that dies costs only the requests that it had taken.

const assert = require('node:assert');
const { ask } = require('../helpers/ask');
const { Connection } = require('../helpers/client');
const hammer = require('../helpers/hammer');
const {
  Log,
  answerOf,
  assertCleanEnd,
  callInMaster,
  someWorker,
  startServer,
} = require('../helpers/hammered');
const { killHolding } = require('../helpers/killed');

/** Makes the worker that gets this request die while it answers. */
async function dieByRequest(port) {
  const connection = new Connection(port);
  connection.socket.write('GET /die/d/0 HTTP/1.1\r\nHost: test\r\n\r\n');
  await connection.isClosed();
  assert.strictEqual(connection.received, '');
}

/**
 * Checks that each failed request was on a connection that a dead worker had taken, and that no
 * client was refused or delayed. `held` is the result of `killHolding`, if a worker was killed.
 */
function assertOnlyTakenFailed(report, log, dead, held = []) {
  const taken = new Set([...held, ...dead.flatMap((pid) => [...log.portsOf(pid)])]);
  const innocent = report.troubles.filter(({ localPort }) => !taken.has(localPort));
  assert.deepStrictEqual(innocent, [], 'failed, and had not been taken by a dead worker');
  const { reset = 0, empty = 0, dropped = 0, reconnects = 0, ...others } = hammer.problems(report);
  assert.deepStrictEqual(others, {}, JSON.stringify(report.troubles.slice(0, 5)));
  // Clients whose connection ended connect again.
  assert.ok(
    reconnects <= reset + empty + dropped + 2 * dead.length,
    JSON.stringify(hammer.problems(report)),
  );
  return reset + empty;
}

/** Kills a worker under load, and waits until its replacement has served for a while. */
async function killUnder(load, script) {
  await load.answered(200);
  const victim = await someWorker(script.port);
  const held = killHolding(victim);
  await script.until('another one is there', () => script.emitted('listening').length === 3);
  await script.until('the death is reported', () => script.emitted('died').length > 0);
  await load.answered(200);
  return { victim, held, report: await load.stop() };
}

describe('a worker that dies', () => {
  let log;
  beforeEach(() => (log = new Log()));
  afterEach(() => log.remove());

  const start = (options) => startServer({ options, env: { LOG: log.file } });
  const deadOf = (script) => script.emitted('died').map(([pid]) => pid);

  it('loses no connection that it had not taken (ten deaths within a request)', async () => {
    const script = await start({ noWorkers: 3 });
    const load = hammer.start(script.port, { clients: { oneShot: 24 }, think: 5 });
    for (let i = 1; i <= 10; i++) {
      await load.answered(100);
      await dieByRequest(script.port);
      await script.until(
        'another one is there',
        () => script.emitted('listening').length === 3 + i,
        15_000,
      );
    }
    const report = await load.stop();
    await script.until('all deaths are reported', () => deadOf(script).length >= 10);
    assert.strictEqual(deadOf(script).length, 10);
    assertOnlyTakenFailed(report, log, deadOf(script));
    assert.ok(report.ok > 1000);
  });

  it('killed from outside, costs clients of all kinds only its requests in flight', async () => {
    const script = await start({ noWorkers: 2 });
    const load = hammer.start(script.port);
    const { victim, held, report } = await killUnder(load, script);
    assert.deepStrictEqual(script.emitted('died'), [
      [victim, { code: null, signal: 'SIGKILL', reason: 'crash' }],
    ]);
    assertOnlyTakenFailed(report, log, [victim], held);
  });

  it('costs an idle keep-alive client at most one request', async () => {
    const script = await start({ noWorkers: 2 });
    const load = hammer.start(script.port, { clients: { keepAlive: 30 } });
    const { victim, held, report } = await killUnder(load, script);
    const lost = assertOnlyTakenFailed(report, log, [victim], held);
    // Half of them, or more where the other worker had no processor for some milliseconds.
    const had = new Set(held).size;
    assert.ok(lost <= had, `${lost} requests were lost, and the worker had ${had} connections`);
  });

  it('is replaced, even if both workers die at once', async () => {
    const script = await start({ noWorkers: 2 });
    const load = hammer.start(script.port, { clients: { oneShot: 8 } });
    await load.answered(50);
    const both = script.workers();
    await ask(script.cwd, 'broadcast', ['die']);
    await script.until('two others are there', () => script.emitted('listening').length === 4);
    await load.answered(50);
    assertOnlyTakenFailed(await load.stop(), log, both);
  });

  it('during a reload does not stop it, and costs only the requests it had taken', async () => {
    const script = await start({ noWorkers: 3 });
    const load = hammer.start(script.port, { clients: { oneShot: 8, keepAlive: 8 } });
    await load.answered(100);
    const victim = script.workers().at(-1);
    await callInMaster(script, 'reload');
    await script.until('the reload has begun', () => script.emitted('reloading').length > 0);
    const held = killHolding(victim);
    assert.deepStrictEqual(await answerOf(script, 'reload'), { ok: { replaced: 3 } });
    await script.until(
      'three new workers are left',
      () => script.emitted('died').length >= 3 && script.workers().length === 3,
    );
    await load.answered(100);
    assertOnlyTakenFailed(await load.stop(), log, [victim], held);
    script.kill();
    await assertCleanEnd(script);
  });

  it('by exit() is reported with its code, and costs only the requests it had taken', async () => {
    const script = await start({ noWorkers: 2 });
    const load = hammer.start(script.port, { clients: { oneShot: 8, keepAlive: 8 } });
    await load.answered(100);
    const before = new Set(script.workers());
    const connection = new Connection(script.port);
    connection.socket.write('GET /exit/d/3 HTTP/1.1\r\nHost: test\r\n\r\n');
    await connection.isClosed();
    await script.until('another one is there', () => script.emitted('listening').length === 3);
    await load.answered(100);
    const report = await load.stop();
    await script.until('the death is reported', () => script.emitted('died').length > 0);
    const [[pid, death]] = script.emitted('died');
    assert.ok(before.has(pid));
    assert.deepStrictEqual(death, { code: 3, signal: null, reason: 'crash' });
    assertOnlyTakenFailed(report, log, [pid]);
  });
});
