'use strict';

// A worker that dies takes with it what it had taken, and nothing else.

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

/** Makes the worker that gets this request die in the middle of it. */
async function dieByRequest(port) {
  const connection = new Connection(port);
  connection.socket.write('GET /die/d/0 HTTP/1.1\r\nHost: test\r\n\r\n');
  await connection.isClosed();
  assert.strictEqual(connection.received, '');
}

/**
 * Every request that failed was on a connection that one of the dead had taken; nobody was refused
 * or had to wait. Who is killed from outside may have taken one of which it could not write any
 * more: `untold`.
 */
function assertOnlyTakenFailed(report, log, dead, { untold = 0 } = {}) {
  const taken = new Set(dead.flatMap((pid) => [...log.portsOf(pid)]));
  const innocent = report.troubles.filter(({ localPort }) => !taken.has(localPort));
  assert.deepStrictEqual(
    innocent.slice(untold),
    [],
    'failed, and had not been taken by a dead worker',
  );
  const { reset = 0, empty = 0, dropped = 0, reconnects = 0, ...others } = hammer.problems(report);
  assert.deepStrictEqual(others, {}, JSON.stringify(report.troubles.slice(0, 5)));
  // Where the agent and the wires saw their connection end, they connect again.
  assert.ok(
    reconnects <= reset + empty + dropped + 2 * dead.length,
    JSON.stringify(hammer.problems(report)),
  );
  return reset + empty;
}

describe('a worker that dies', () => {
  let log;
  beforeEach(() => (log = new Log()));
  afterEach(() => log.remove());

  const start = (options) => startServer({ options, env: { LOG: log.file } });
  const deadOf = (script) => script.told('died').map(([pid]) => pid);

  it('loses no connection that it had not taken: one-shot clients, killed within a request, ten times', async () => {
    const script = await start({ noWorkers: 3 });
    const load = hammer.start(script.port, { clients: { oneShot: 24 }, think: 5 });
    for (let i = 1; i <= 10; i++) {
      await load.answered(100);
      await dieByRequest(script.port);
      await script.until(
        'another one is there',
        () => script.told('listening').length === 3 + i,
        15_000,
      );
    }
    const report = await load.stop();
    assert.strictEqual(deadOf(script).length, 10);
    assertOnlyTakenFailed(report, log, deadOf(script));
    assert.ok(report.ok > 1000);
  });

  it('costs clients of all kinds at most what was in flight on it, killed from outside', async () => {
    const script = await start({ noWorkers: 2 });
    const load = hammer.start(script.port);
    await load.answered(200);
    const victim = await someWorker(script.port);
    process.kill(victim, 'SIGKILL');
    await script.until('another one is there', () => script.told('listening').length === 3);
    await load.answered(200);
    const report = await load.stop();
    assert.deepStrictEqual(script.told('died'), [
      [victim, { code: null, signal: 'SIGKILL', reason: 'crash' }],
    ]);
    assertOnlyTakenFailed(report, log, [victim], { untold: 1 });
  });

  it('costs idle keep-alive clients no more than one request each', async () => {
    const script = await start({ noWorkers: 2 });
    const load = hammer.start(script.port, { clients: { keepAlive: 30 } });
    await load.answered(200);
    const victim = await someWorker(script.port);
    process.kill(victim, 'SIGKILL');
    await script.until('another one is there', () => script.told('listening').length === 3);
    await load.answered(200);
    const report = await load.stop();
    const lost = assertOnlyTakenFailed(report, log, [victim], { untold: 1 });
    assert.ok(
      lost <= 20,
      `${lost} of 30 clients lost a request, the worker had about half of them`,
    );
  });

  it('is replaced while its place is covered, even when both die at once', async () => {
    const script = await start({ noWorkers: 2 });
    const load = hammer.start(script.port, { clients: { oneShot: 8 } });
    await load.answered(50);
    const both = script.workers();
    await ask(script.cwd, 'broadcast', ['die']);
    await script.until('two others are there', () => script.told('listening').length === 4);
    await load.answered(50);
    assertOnlyTakenFailed(await load.stop(), log, both);
  });

  it('in the middle of a reload does not stop it, and costs only what it had taken', async () => {
    const script = await start({ noWorkers: 3 });
    const load = hammer.start(script.port, { clients: { oneShot: 8, keepAlive: 8 } });
    await load.answered(100);
    const victim = script.workers().at(-1);
    await callInMaster(script, 'reload');
    await script.until('the reload has begun', () => script.told('reloading').length > 0);
    process.kill(victim, 'SIGKILL');
    assert.deepStrictEqual(await answerOf(script, 'reload'), { ok: { replaced: 3 } });
    await script.until(
      'three new ones',
      () => script.told('died').length >= 3 && script.workers().length === 3,
    );
    await load.answered(100);
    assertOnlyTakenFailed(await load.stop(), log, [victim], { untold: 1 });
    script.kill();
    await assertCleanEnd(script);
  });

  it('with exit() under load is told with its code, and costs only what it had taken', async () => {
    const script = await start({ noWorkers: 2 });
    const load = hammer.start(script.port, { clients: { oneShot: 8, keepAlive: 8 } });
    await load.answered(100);
    const before = new Set(script.workers());
    const connection = new Connection(script.port);
    connection.socket.write('GET /exit/d/3 HTTP/1.1\r\nHost: test\r\n\r\n');
    await connection.isClosed();
    await script.until('another one is there', () => script.told('listening').length === 3);
    await load.answered(100);
    const report = await load.stop();
    const [[pid, death]] = script.told('died');
    assert.ok(before.has(pid));
    assert.deepStrictEqual(death, { code: 3, signal: null, reason: 'crash' });
    assertOnlyTakenFailed(report, log, [pid]);
  });
});
