'use strict';

// stop(): abrupt, from whatever process it is asked, and quick even where the master does not
// answer.

const assert = require('node:assert');
const fs = require('node:fs');
const { ask } = require('../helpers/ask');
const { Script, freePort, isAlive } = require('../helpers/cluster');
const { attempt } = require('../helpers/load');

const start = async (settings) =>
  new Script('commands.js', { port: await freePort(), ...settings }).ready();

/** Stops the cluster from another process, and checks that nothing is left of it. */
async function stopped(script) {
  const workers = script.workers();
  const { ok, took } = await ask(script.cwd, 'stop');
  assert.deepStrictEqual(ok, { running: true, pid: script.pid });
  assert.ok(took < 1000, `took ${took} ms`);
  const end = await script.ended();
  assert.deepStrictEqual(workers.filter(isAlive), [], 'workers are left');
  assert.deepStrictEqual(fs.readdirSync(script.pids), [], 'files are left');
  assert.strictEqual((await attempt({ port: script.port })).outcome, 'refused');
  return end;
}

describe('stop() from another process', () => {
  it('ends master and workers at once, and leaves no files', async () => {
    const script = await start();
    assert.deepStrictEqual(await stopped(script), { code: 0, signal: null });
    assert.deepStrictEqual(
      script.told('died').map(([, end]) => end),
      Array(2).fill({ code: null, signal: 'SIGKILL', reason: 'stop' }),
    );
  });

  it('does not wait for requests that are being answered', async () => {
    const script = await start();
    const slow = attempt({ port: script.port, path: '/slow?60000' });
    await script.until('the request is being answered', async () => {
      const { ok } = await ask(script.cwd, 'status');
      return ok.workers.some(({ requests }) => requests.active === 1);
    });
    await stopped(script);
    assert.notStrictEqual((await slow).outcome, 'ok');
  });

  it('ends a cluster that is already shutting down', async () => {
    const script = await start();
    const slow = attempt({ port: script.port, path: '/slow?60000' });
    await ask(script.cwd, 'shutdown');
    await stopped(script);
    await slow;
  });

  it('is as quick when the JavaScript of the master is stuck', async () => {
    const script = await start();
    await attempt({ port: script.port, path: '/master?["block",60000]' });
    await script.until('the master is stuck', () => script.told('blocking').length > 0);
    await stopped(script);
  });

  it('is as quick when a worker is stuck', async () => {
    const script = await start();
    const stuck = attempt({ port: script.port, path: '/worker?["block",60000]' });
    await script.until('a worker is stuck', () =>
      script.events({ everybody: true }).some(([name]) => name === 'blocking'),
    );
    await stopped(script);
    await stuck;
  });

  it('is as quick when the whole master is suspended', async () => {
    const script = await start();
    script.kill('SIGSTOP');
    assert.deepStrictEqual(await stopped(script), { code: null, signal: 'SIGKILL' });
  });

  it('is as quick when the workers are suspended', async () => {
    const script = await start();
    script.workers().forEach((pid) => process.kill(pid, 'SIGSTOP'));
    assert.deepStrictEqual(await stopped(script), { code: 0, signal: null });
  });

  it('spares processes that only share a number with a worker of long ago', async () => {
    const innocent = new Script('innocent.js');
    await innocent.until('it runs', () => innocent.output !== '');
    const script = await start();
    fs.writeFileSync(`${script.pids}/worker.${innocent.pid}.pid`, `${innocent.pid}\n`);
    fs.writeFileSync(
      `${script.pids}/worker.${innocent.pid}.start`,
      `pid=${innocent.pid}\nstarted=12345\n`,
    );
    script.kill('SIGSTOP');
    await stopped(script);
    assert.ok(isAlive(innocent.pid));
  });

  it('asked by several at once, all are answered', async () => {
    const script = await start();
    const answers = await Promise.all(Array.from({ length: 4 }, () => ask(script.cwd, 'stop')));
    await script.ended();
    assert.ok(answers.some(({ ok }) => ok.running));
    assert.ok(
      answers.every(
        ({ ok, took }) => (ok.running === false || ok.pid === script.pid) && took < 1000,
      ),
    );
  });

  it('leaves a place where a new cluster can start at once', async () => {
    const script = await start();
    await ask(script.cwd, 'stop');
    const next = await new Script('commands.js', { port: script.port, cwd: script.cwd }).ready();
    assert.strictEqual((await attempt({ port: next.port })).outcome, 'ok');
  });
});
