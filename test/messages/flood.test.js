'use strict';

// Workers that send more messages than the master's script handles: events of the cluster still
// arrive, senders are slowed down, and no message is lost.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { Script, isAlive } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');

const start = async (file, noWorkers, env) =>
  new Script(file, {
    port: await freePort(),
    options: { noWorkers, shutdownTimeout: 5000 },
    env,
  }).ready(noWorkers);

const heard = (script) => script.emitted('heard').at(-1)?.[0] ?? 0;
const pidsOf = (script, name) =>
  script
    .emitted(name)
    .map(([pid]) => pid)
    .sort();
const rssOf = (pid) =>
  Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s*(\d+)/)[1]) * 1024;

/** Blocks the master's script until the returned function is called. */
async function stick(script) {
  const file = path.join(script.cwd, 'stuck');
  fs.writeFileSync(file, '');
  script.kill('SIGUSR2');
  await script.until('the script is stuck', () => script.emitted('stuck').length > 0);
  return () => fs.rmSync(file);
}

const isWhole = ({ workers }, count) =>
  workers.length === count && workers.every(({ pid, state }) => state === 'ready' && isAlive(pid));

describe('workers that send without pause', () => {
  it('do not hide a death, delay an answer or swallow a signal (16 workers)', async () => {
    const script = await start('workers-flood.js', 16);
    await script.until('they flood', () => heard(script) > 20_000);
    const victims = script.workers().slice(0, 4);
    victims.forEach((pid) => process.kill(pid, 'SIGKILL'));
    await script.until('each death is reported', () =>
      victims.every((pid) => pidsOf(script, 'died').includes(pid)),
    );
    await script.until('all are replaced', async () => isWhole(await script.status(), 16), 10_000);

    const reloading = ask(script.cwd, 'reload');
    await script.until('a reload goes on', () => script.emitted('reloading').length >= 2, 10_000);
    process.kill(script.workers()[8], 'SIGKILL');
    script.kill('SIGTERM');
    assert.deepStrictEqual(await script.ended(10_000), { code: 0, signal: null });
    await reloading;
    assert.deepStrictEqual(
      pidsOf(script, 'died'),
      pidsOf(script, 'forked'),
      'each end is reported, once',
    );
  });

  it('do not fill the memory of a stuck script, which later gets all events', async () => {
    const script = await start('workers-flood.js', 4);
    await script.until('they flood', () => heard(script) > 20_000);
    const free = await stick(script);
    const before = rssOf(script.pid);
    const [victim] = script.workers();
    process.kill(victim, 'SIGKILL');
    await script.until('the dead one is replaced all the same', async () => {
      const { workers } = await script.status();
      return workers.every(({ pid }) => pid !== victim) && isWhole({ workers }, 4);
    });
    const grown = rssOf(script.pid) - before;
    assert.ok(grown < 32 * 1024 * 1024, `the master grew by ${grown >> 20} MB`);
    assert.ok(!pidsOf(script, 'died').includes(victim), 'the script is stuck');
    assert.strictEqual((await ask(script.cwd, 'shutdown', [{ wait: true }])).ok.running, true);
    free();
    assert.deepStrictEqual(await script.ended(4000), { code: 0, signal: null });
    assert.deepStrictEqual(pidsOf(script, 'died'), pidsOf(script, 'forked'));
    assert.strictEqual(pidsOf(script, 'died').length, 5);
  });
});

describe('messages to a slow script', () => {
  it('all arrive, in order', async () => {
    const script = await start('numbered-messages.js', 3, { COUNT: 20_000, SLOW: 20 });
    script.kill('SIGUSR2');
    const all = JSON.stringify([20_000, 20_000, 20_000]);
    await script.until('all have come', () => JSON.stringify(heard(script)) === all, 20_000);
    assert.deepStrictEqual(script.emitted('wrong'), []);
    assert.strictEqual(script.errors, '');
  });

  it('arrive before the death of their sender, even if the script was stuck', async () => {
    const script = await start('numbered-messages.js', 2, { COUNT: 1000, LAST: 1, SLOW: 0 });
    const workers = script.workers();
    const free = await stick(script);
    await script.until('they are gone', () => workers.every((pid) => !isAlive(pid)));
    // They are replaced before the script learns of their ends.
    await script.until('they are replaced', async () => isWhole(await script.status(), 2));
    free();
    await script.until('their ends are reported', () => script.emitted('died').length === 2);
    assert.deepStrictEqual(script.emitted('wrong'), []);
    assert.deepStrictEqual(
      script.emitted('died').map(([, code, count]) => [code, count]),
      [
        [7, 1000],
        [7, 1000],
      ],
    );
  });

  it('all arrive even if a listener throws for some', async () => {
    const script = await start('throwing-listener.js', 1);
    await script.until('the last has come', () => script.emitted('heard').length > 0);
    assert.deepStrictEqual(script.emitted('heard'), [[100, 33]]);
  });
});

describe('more calls than can wait', () => {
  it('are each answered or rejected, and swallow no signal', async () => {
    const script = await start('many-calls.js', 1);
    script.kill('SIGUSR2');
    assert.deepStrictEqual(await script.ended(10_000), { code: 0, signal: null });
    const [[answered, refused, errors]] = script.emitted('answered');
    assert.strictEqual(answered + refused, 20_000);
    assert.ok(answered > 1000 && refused > 1000, `${answered} answered, ${refused} refused`);
    assert.deepStrictEqual(errors, [
      'CLUSTER2_ERR_WRONG_STATE cannot do that while the cluster is overloaded with commands',
    ]);
  });
});
