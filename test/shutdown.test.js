'use strict';

// shutdown(): graceful. Whoever got in is served, whoever comes later is refused, and nothing is left behind.

const assert = require('node:assert');
const fs = require('node:fs');
const http = require('node:http');
const { ask } = require('./helpers/ask');
const { Script, freePort } = require('./helpers/cluster');
const { Load, attempt } = require('./helpers/load');

const start = async (settings) => new Script('commands.js', { port: await freePort(), ...settings }).ready();
const isAnswering = async (script) => (await ask(script.cwd, 'status')).ok.workers.some(({ requests }) => requests.active > 0);

/** A request that is being answered now, and will be for `ms`. */
async function slowRequest(script, ms) {
  const begun = attempt({ port: script.port, path: `/slow?${ms}` });
  await script.until('the request is being answered', () => isAnswering(script));
  return begun;
}

function assertCleanEnd(script, end, workers = 2) {
  assert.deepStrictEqual(end, { code: 0, signal: null });
  assert.deepStrictEqual(script.told('died').map(([, death]) => death), Array(workers).fill({ code: 0, signal: null, reason: 'shutdown' }));
  assert.deepStrictEqual(fs.readdirSync(script.pids), [], 'files are left');
  assert.strictEqual(script.errors, '');
}

describe('shutdown()', () => {
  it('resolves when nobody new gets in, while requests are still answered', async () => {
    const script = await start();
    const slow = slowRequest(script, 1500);
    await script.until('the request is being answered', () => isAnswering(script));
    const { ok } = await ask(script.cwd, 'shutdown');
    assert.deepStrictEqual(ok, { running: true, pid: script.pid });
    assert.strictEqual((await ask(script.cwd, 'status')).ok.master.state, 'leaving');
    assert.strictEqual((await attempt({ port: script.port })).outcome, 'refused');
    const { outcome, body } = await slow;
    assert.strictEqual(outcome, 'ok');
    assert.match(body, /^slow \d+$/);
    assertCleanEnd(script, await script.ended());
  });

  it('with { wait: true } resolves when all workers are gone and everything can be started again', async () => {
    const script = await start();
    const slow = slowRequest(script, 800);
    await script.until('the request is being answered', () => isAnswering(script));
    const { ok } = await ask(script.cwd, 'shutdown', [{ wait: true }]);
    assert.deepStrictEqual(ok, { running: true, pid: script.pid });
    assert.deepStrictEqual(script.workers(), []);
    assert.strictEqual((await slow).outcome, 'ok');
    const next = await new Script('commands.js', { port: script.port, cwd: script.cwd }).ready();
    assert.strictEqual((await attempt({ port: next.port })).outcome, 'ok');
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('asked again while it runs changes nothing, and both are answered', async () => {
    const script = await start();
    const slow = slowRequest(script, 1500);
    await script.until('the request is being answered', () => isAnswering(script));
    const waiting = ask(script.cwd, 'shutdown', [{ wait: true }]);
    const answers = [await ask(script.cwd, 'shutdown'), await ask(script.cwd, 'shutdown', [{ wait: true }]), await waiting];
    assert.deepStrictEqual(answers.map(({ ok }) => ok), Array(3).fill({ running: true, pid: script.pid }));
    assert.strictEqual((await slow).outcome, 'ok');
    assertCleanEnd(script, await script.ended());
  });

  it('goes on when the JavaScript of the master is stuck', async () => {
    const script = await start();
    await attempt({ port: script.port, path: '/master?["block",2500]' });
    await script.until('the master is stuck', () => script.told('blocking').length > 0);
    const { ok, took } = await ask(script.cwd, 'shutdown', [{ wait: true }]);
    assert.deepStrictEqual(ok, { running: true, pid: script.pid });
    assert.ok(took < 2000, `took ${took} ms`);
    assert.strictEqual((await attempt({ port: script.port })).outcome, 'refused');
    assertCleanEnd(script, await script.ended());
  });

  it('while workers are still starting leaves none of them behind', async () => {
    const script = new Script('commands.js', { port: await freePort() });
    await script.until('a worker is forked', () => script.told('forked').length === 2);
    const { ok } = await ask(script.cwd, 'shutdown', [{ wait: true }]);
    assert.deepStrictEqual(ok, { running: true, pid: script.pid });
    assertCleanEnd(script, await script.ended());
  });

  it('closes idle connections in peace', async () => {
    const script = await start();
    const agent = new http.Agent({ keepAlive: true });
    const { outcome } = await attempt({ port: script.port, agent });
    assert.strictEqual(outcome, 'ok');
    await ask(script.cwd, 'shutdown');
    assertCleanEnd(script, await script.ended(5000));
    agent.destroy();
  });

  it('answers the next request on an idle connection, and asks the client to use another one after it', async () => {
    const script = await start();
    const agent = new http.Agent({ keepAlive: true });
    await attempt({ port: script.port, agent });
    await ask(script.cwd, 'shutdown');
    const { outcome, response } = await attempt({ port: script.port, agent });
    assert.strictEqual(outcome, 'ok');
    assert.strictEqual(response.headers.connection, 'close');
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
      assert.deepStrictEqual(Object.keys(load.seen), ['ok', 'refused'], JSON.stringify([load.seen, load.trouble]));
      assert.strictEqual(load.counts.refused, 18, 'every client was served until it was refused');
      assert.ok(load.refusedAt > asked);
      assertCleanEnd(script, await script.ended());
    });
  }
});
