'use strict';

// reload(): all workers are replaced, and no client notices.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const hammer = require('../helpers/hammer');
const {
  answerOf,
  assertCleanEnd,
  callInMaster,
  change,
  newVersionOf,
  startServer,
  versionOf,
} = require('../helpers/hammered');

const pidsOf = (script, name) => script.emitted(name).map(([pid]) => pid);

/** Checks that at least `workers` workers were left whenever one died. */
function assertCapacity(script, workers) {
  let ready = 0;
  for (const [name, pid] of script.events()) {
    if (name === 'listening') ready += 1;
    if (name !== 'died') continue;
    ready -= 1;
    assert.ok(ready >= workers, `${ready} workers were left when ${pid} died`);
  }
}

describe('reload() under load', () => {
  it('replaces every worker without an error, a reconnect or a loss of capacity', async () => {
    const script = await startServer({ options: { noWorkers: 3 } });
    const old = script.workers();
    const load = hammer.start(script.port);
    await load.answered(200);
    await callInMaster(script, 'reload');
    assert.deepStrictEqual(await answerOf(script, 'reload'), { ok: { replaced: 3 } });
    await script.until('the old workers are gone', () => script.emitted('died').length === 3);
    await load.answered(200);
    hammer.assertClean(await load.stop());
    assert.deepStrictEqual(pidsOf(script, 'died').sort(), old.sort());
    assert.deepStrictEqual(
      script.emitted('died').map(([, death]) => death),
      Array(3).fill({ code: 0, signal: null, reason: 'reload' }),
    );
    assertCapacity(script, 3);
    script.kill();
    await assertCleanEnd(script);
  });

  it('emits its progress: which worker is replaced, and how many were', async () => {
    const script = await startServer();
    const old = script.workers();
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
    await script.until('the reload is reported', () => script.emitted('reload').length > 0);
    assert.deepStrictEqual(script.emitted('reloading').map(([, progress]) => progress), [
      { slot: 0, replaced: 0, total: 2 },
      { slot: 1, replaced: 1, total: 2 },
    ]);
    assert.deepStrictEqual(pidsOf(script, 'reloading').sort(), old.sort());
    assert.deepStrictEqual(script.emitted('reload'), [[{ replaced: 2 }]]);
  });

  it('runs the code that is on disk now', async () => {
    const script = await startServer();
    assert.strictEqual(await versionOf(script.port), 'first');
    change(script, 'exports.version = "second";');
    await ask(script.cwd, 'reload');
    assert.deepStrictEqual(
      [await newVersionOf(script), await versionOf(script.port)],
      ['second', 'second'],
    );
  });

  it('by SIGHUP to the master loses no request', async () => {
    const script = await startServer();
    const load = hammer.start(script.port);
    await load.answered(100);
    script.kill('SIGHUP');
    await script.until('all workers are replaced', () => script.emitted('reload').length === 1);
    await script.until('the old workers are gone', () => script.emitted('died').length === 2);
    await load.answered(100);
    hammer.assertClean(await load.stop());
  });

  it('from another process, many times, loses no request', async () => {
    const script = await startServer();
    const load = hammer.start(script.port);
    for (let i = 1; i <= 5; i++) {
      assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
      await load.answered(50);
    }
    await script.until('the old workers are gone', () => script.emitted('died').length === 10);
    hammer.assertClean(await load.stop());
    assert.strictEqual(script.workers().length, 2);
  });

  it('asked for while one runs, runs once more: each caller gets newer workers', async () => {
    const script = await startServer();
    // The fourth worker, the second new one of the first reload, waits for the file.
    const held = (version) => `exports.version = '${version}'; exports.begin = (go) => {
      const waits = require('cluster').worker.id >= 4 && !require('fs').existsSync('go');
      waits ? setTimeout(exports.begin, 10, go) : go();
    };`;
    change(script, held('second'));
    const first = ask(script.cwd, 'reload');
    await script.until(
      'a worker runs the second version',
      () => script.emitted('listening').length === 3,
    );
    change(script, held('third'));
    await Promise.all([callInMaster(script, 'reload'), callInMaster(script, 'reload')]);
    // The worker answers once it has sent the call, which the master may not have read yet.
    await script.until('the master has both', () => script.emitted('message').length === 2);
    const { reload } = (await script.status()).master;
    assert.deepStrictEqual([reload?.again, reload?.total], [true, 2]);
    fs.writeFileSync(path.join(script.cwd, 'go'), '');
    assert.deepStrictEqual((await first).ok, { replaced: 2 });
    await script.until('both are answered', () => script.emitted('answer').length === 2);
    assert.deepStrictEqual(
      script.emitted('answer'),
      Array(2).fill(['reload', { ok: { replaced: 2 } }]),
    );
    assert.deepStrictEqual(
      [await newVersionOf(script), await versionOf(script.port)],
      ['third', 'third'],
    );
    await script.until('both are reported', () => script.emitted('reload').length === 2);
    assert.strictEqual(script.emitted('forked').length, 6);
    assert.strictEqual((await script.status()).master.reload, null);
  });

  it('asked for while another one fails, runs all the same', async () => {
    const script = await startServer();
    // It runs the bad code until the test lets it fail.
    const bad = `exports.begin = () => {
      console.log('bad code runs');
      setInterval(() => require('fs').existsSync('fail') && process.exit(7), 5);
    };`;
    change(script, bad);
    const failing = ask(script.cwd, 'reload');
    await script.until('it is under way', () => script.output.includes('bad code runs'));
    const further = ask(script.cwd, 'reload');
    const again = async () => (await script.status()).master.reload?.again;
    await script.until('the further one was asked for', again);
    change(script, 'exports.version = "fixed";');
    fs.writeFileSync(path.join(script.cwd, 'fail'), '');
    assert.strictEqual((await failing).error?.code, 'CLUSTER2_ERR_RELOAD_FAILED');
    assert.deepStrictEqual((await further).ok, { replaced: 2 });
    assert.strictEqual(await newVersionOf(script), 'fixed');
  });

  it('asked for by several processes at once, answers each of them', async () => {
    const script = await startServer();
    const load = hammer.start(script.port);
    const answers = await Promise.all([
      ask(script.cwd, 'reload'),
      ask(script.cwd, 'reload'),
      ask(script.cwd, 'reload'),
    ]);
    assert.ok(
      answers.every(({ ok }) => ok?.replaced === 2),
      JSON.stringify(answers),
    );
    await script.until('all events are there', () => script.emitted('reload').length >= 1);
    await load.answered(50);
    hammer.assertClean(await load.stop());
    // The callers are processes: one that calls after the others were answered starts another
    // reload.
    assert.ok(script.emitted('reload').length <= 3, script.output);
  });

  it('called three times in one tick runs twice', async () => {
    const script = await startServer();
    change(script, 'exports.begin = (go) => setTimeout(go, 300);');
    await Promise.all([1, 2, 3].map(() => callInMaster(script, 'reload')));
    await script.until('all are answered', () => script.emitted('answer').length === 3);
    assert.deepStrictEqual(
      script.emitted('answer'),
      Array(3).fill(['reload', { ok: { replaced: 2 } }]),
    );
    // The event and the results may come in any order.
    await script.until('the events are there', () => script.emitted('reload').length === 2);
    assert.strictEqual(script.emitted('forked').length, 6);
  });

  it('moves an idle client, again and again', async () => {
    const script = await startServer();
    const load = hammer.start(script.port, { clients: { keepAlive: 60 }, think: 400 });
    for (let i = 0; i < 3; i++) {
      await load.answered(100);
      assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
    }
    await load.answered(60);
    const report = await load.stop();
    hammer.assertClean(report);
  });
});

describe('a reload of bad code', () => {
  const bad = {
    'that does not parse': [
      'exports.version = ;',
      /exited with code 1: SyntaxError: Unexpected token ';' \(.*app\.js:1\)/,
    ],
    'that throws at start': [
      'throw new Error("no database");',
      /exited with code 1: Error: no database/,
    ],
    'that leaves at start': ['process.exit(7);', /exited with code 7/],
    'that is killed at start': ['process.kill(process.pid, "SIGKILL");', /was ended by SIGKILL/],
    'that rejects at start': [
      'exports.begin = async () => { throw new Error("no cache"); };',
      /exited with code \d+.*no cache/,
    ],
    'that is never ready': ['exports.begin = () => {};', /was not ready in time/],
  };

  for (const [name, [code, reason]] of Object.entries(bad)) {
    it(`${name} fails with the reason, and the old workers go on`, async () => {
      const script = await startServer({ options: { startTimeout: 2500 } });
      const old = script.workers();
      const load = hammer.start(script.port);
      await load.answered(50);
      change(script, code);
      const { error } = await ask(script.cwd, 'reload');
      assert.strictEqual(error?.code, 'CLUSTER2_ERR_RELOAD_FAILED', JSON.stringify(error));
      assert.match(error.message, reason);
      await load.answered(50);
      hammer.assertClean(await load.stop());
      await script.until('the bad worker is gone', () => script.workers().length === 2);
      assert.deepStrictEqual(script.workers().sort(), old.sort(), 'the old workers stay');
      await script.until('it is reported', () =>
        script.emitted('warning').some(([{ message }]) => reason.test(message)));
      change(script, 'exports.version = "third";');
      assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
      assert.strictEqual(await newVersionOf(script), 'third');
    });
  }
});
