'use strict';

// shutdown(): accepted clients are served, later ones are refused, and nothing is left behind.

const assert = require('node:assert');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { Script } = require('../helpers/cluster');
const { finishAll, holdRequests } = require('../helpers/held-requests');
const { Load, attempt } = require('../helpers/load');
const { freePort } = require('../helpers/ports');

const start = async (settings) =>
  new Script('commands.js', { port: await freePort(), ...settings }).ready();

function assertCleanEnd(script, end, { workers = 2, errors = '' } = {}) {
  assert.deepStrictEqual(end, { code: 0, signal: null });
  assert.deepStrictEqual(
    script.emitted('died').map(([, death]) => death),
    Array(workers).fill({ code: 0, signal: null, reason: 'shutdown' }),
  );
  assert.deepStrictEqual(fs.readdirSync(script.pids), [], 'files are left');
  assert.strictEqual(script.errors, errors);
}

describe('shutdown()', () => {
  it('resolves when no new connection is accepted, while requests are still answered', async () => {
    const script = await start();
    const held = await holdRequests(script);
    const { ok } = await ask(script.cwd, 'shutdown');
    assert.deepStrictEqual(ok, { running: true, pid: script.pid });
    assert.strictEqual((await script.status()).master.state, 'leaving');
    assert.strictEqual((await attempt({ port: script.port })).outcome, 'refused');
    await finishAll(held);
    assertCleanEnd(script, await script.ended());
  });

  it('with { wait: true } resolves when a new cluster can start', async () => {
    const script = await start();
    const held = await holdRequests(script);
    const asked = ask(script.cwd, 'shutdown', [{ wait: true }]);
    const isLeaving = async () => (await script.status()).master.state === 'leaving';
    await script.until('it is leaving', isLeaving);
    assert.strictEqual(script.workers().length, 2);
    await finishAll(held);
    const { ok } = await asked;
    assert.deepStrictEqual(ok, { running: true, pid: script.pid });
    assert.deepStrictEqual(script.workers(), []);
    const next = await new Script('commands.js', { port: script.port, cwd: script.cwd }).ready();
    assert.strictEqual((await attempt({ port: next.port })).outcome, 'ok');
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('called again changes nothing, and both calls are answered', async () => {
    const script = await start({ env: { CLUSTER2_LOG: 'cluster2_rs::master=debug' } });
    const held = await holdRequests(script);
    const asked = [
      ask(script.cwd, 'shutdown', [{ wait: true }]),
      ask(script.cwd, 'shutdown'),
      ask(script.cwd, 'shutdown', [{ wait: true }]),
    ];
    // The caller is a process that has to start: only the master's log shows that the call arrived.
    await script.until(
      'all were heard',
      () => script.errors.split('asked command=Shutdown').length - 1 === 3,
    );
    await asked[1];
    await finishAll(held);
    const answers = await Promise.all(asked);
    assert.deepStrictEqual(
      answers.map(({ ok }) => ok),
      Array(3).fill({ running: true, pid: script.pid }),
    );
    assertCleanEnd(script, await script.ended(), { errors: script.errors });
  });

  it('goes on if the JavaScript of the master is stuck', async () => {
    const script = await start();
    const release = path.join(script.cwd, 'release');
    const command = encodeURIComponent(JSON.stringify(['blockUntil', release]));
    await attempt({ port: script.port, path: `/master?${command}` });
    await script.until('the master is stuck', () => script.emitted('blocking').length > 0);
    const { ok } = await ask(script.cwd, 'shutdown', [{ wait: true }]);
    assert.deepStrictEqual(ok, { running: true, pid: script.pid });
    assert.strictEqual((await attempt({ port: script.port })).outcome, 'refused');
    assert.deepStrictEqual(script.emitted('blocked'), [], 'all that while it was stuck');
    fs.writeFileSync(release, '');
    assertCleanEnd(script, await script.ended());
  });

  it('while workers start leaves none of them behind', async () => {
    const script = new Script('commands.js', { port: await freePort() });
    await script.until('a worker is forked', () => script.emitted('forked').length === 2);
    const { ok } = await ask(script.cwd, 'shutdown', [{ wait: true }]);
    assert.deepStrictEqual(ok, { running: true, pid: script.pid });
    assertCleanEnd(script, await script.ended());
  });

  it('closes idle connections without a reset', async () => {
    const script = await start();
    const agent = new http.Agent({ keepAlive: true });
    const { outcome } = await attempt({ port: script.port, agent });
    assert.strictEqual(outcome, 'ok');
    await ask(script.cwd, 'shutdown');
    assertCleanEnd(script, await script.ended(5000));
    agent.destroy();
  });

  it('answers one more request on an idle connection, with Connection: close', async () => {
    const script = await start();
    const agent = new http.Agent({ keepAlive: true });
    await attempt({ port: script.port, agent });
    await ask(script.cwd, 'shutdown');
    // The worker may be told a moment after the caller.
    await script.until('it asks the client to use another one', async () => {
      const { outcome, response } = await attempt({ port: script.port, agent });
      assert.strictEqual(outcome, 'ok');
      return response.headers.connection === 'close';
    });
    assertCleanEnd(script, await script.ended());
    agent.destroy();
  });

  for (const round of [1, 2, 3]) {
    it(`loses no request under load (${round})`, async () => {
      const script = await start();
      const load = new Load(script.port, [
        { clients: 6, keepAlive: true },
        { clients: 6 },
        { clients: 3, keepAlive: true, path: '/slow?100' },
        { clients: 3, path: '/slow?150' },
      ]);
      await script.until('there is load', () => load.counts.ok > 100 * round);
      const asked = performance.now();
      const answer = ask(script.cwd, 'shutdown', [{ wait: true }]);
      await load.refused();
      assert.deepStrictEqual((await answer).ok, { running: true, pid: script.pid });
      load.assertOnly('ok', 'refused');
      assert.strictEqual(load.counts.refused, 18, 'every client was served until it was refused');
      assert.ok(load.refusedAt > asked);
      assertCleanEnd(script, await script.ended());
    });
  }
});
