'use strict';

// stop(): abrupt, from any process, and quick even if the master does not answer.

const assert = require('node:assert');
const fs = require('node:fs');
const { ask } = require('../helpers/ask');
const { Script, isAlive } = require('../helpers/cluster');
const { attempt } = require('../helpers/load');
const { freePort } = require('../helpers/ports');

const start = async (settings) =>
  new Script('commands.js', { port: await freePort(), ...settings }).ready();

/** Stops the cluster from another process, and checks that nothing is left. */
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
      script.emitted('died').map(([, end]) => end),
      Array(2).fill({ code: null, signal: 'SIGKILL', reason: 'stop' }),
    );
  });

  it('does not wait for requests in flight', async () => {
    const script = await start();
    const slow = attempt({ port: script.port, path: '/slow?60000' });
    await script.until('the request is being answered', async () => {
      const status = await script.status();
      return status.workers.some(({ requests }) => requests.active === 1);
    });
    await stopped(script);
    assert.notStrictEqual((await slow).outcome, 'ok');
  });

  it('ends a cluster that is shutting down', async () => {
    const script = await start();
    const slow = attempt({ port: script.port, path: '/slow?60000' });
    await ask(script.cwd, 'shutdown');
    await stopped(script);
    await slow;
  });

  it('is as quick if the JavaScript of the master is stuck', async () => {
    const script = await start();
    await attempt({ port: script.port, path: '/master?["block",60000]' });
    await script.until('the master is stuck', () => script.emitted('blocking').length > 0);
    await stopped(script);
  });

  it('is as quick if a worker is stuck', async () => {
    const script = await start();
    const stuck = attempt({ port: script.port, path: '/worker?["block",60000]' });
    await script.until('a worker is stuck', () =>
      script.events({ allProcesses: true }).some(([name]) => name === 'blocking'),
    );
    await stopped(script);
    await stuck;
  });

  it('is as quick if the master is stopped', async () => {
    const script = await start();
    script.kill('SIGSTOP');
    assert.deepStrictEqual(await stopped(script), { code: null, signal: 'SIGKILL' });
  });

  it('is as quick if the workers are stopped', async () => {
    const script = await start();
    script.workers().forEach((pid) => process.kill(pid, 'SIGSTOP'));
    assert.deepStrictEqual(await stopped(script), { code: 0, signal: null });
  });

  it('spares a process that has the pid of a former worker', async () => {
    const innocent = new Script('unrelated-process.js');
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

  it('called by several processes at once answers all of them', async () => {
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

  it('lets a new cluster start at once', async () => {
    const script = await start();
    await ask(script.cwd, 'stop');
    const next = await new Script('commands.js', { port: script.port, cwd: script.cwd }).ready();
    assert.strictEqual((await attempt({ port: next.port })).outcome, 'ok');
  });
});
