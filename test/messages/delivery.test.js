'use strict';

// Messages between master and workers: they arrive unchanged and in order, and a worker that does
// not read harms no other.

const assert = require('node:assert');
const { ask } = require('../helpers/ask');
const { Script } = require('../helpers/cluster');
const { attempt } = require('../helpers/load');
const { freePort } = require('../helpers/ports');

const start = async (file, workers = 2) =>
  new Script(file, { port: await freePort() }).ready(workers);

/** Returns the arguments of all events of one name, of all processes. */
function toldBy(script, name) {
  return script
    .events({ allProcesses: true })
    .filter((event) => event[0] === name)
    .map((event) => event.slice(1));
}

describe('messages', () => {
  it('of every kind arrive unchanged and in order: 1.5 MB, unicode, line breaks', async () => {
    const script = await start('messages.js');
    await script.until('everything came back', () => script.emitted('back').length === 2);
    for (const [pid, same, complete] of script.emitted('back')) {
      assert.deepStrictEqual(same, Array(same.length).fill(true));
      assert.ok(complete);
      assert.ok(script.workers().includes(pid));
    }
    await script.until(
      'workers got events too',
      () => toldBy(script, 'heard').length === 28,
    );
    assert.ok(
      toldBy(script, 'heard').every(([from]) => from === script.pid),
      'from the master',
    );
    assert.strictEqual(script.errors, '');
  });

  it('to a pid that is not a worker are rejected', async () => {
    const script = await start('commands.js');
    for (const pid of [script.pid, process.pid, 4_000_000]) {
      const { error } = await ask(script.cwd, 'send', [pid, 'hello']);
      assert.strictEqual(error.code, 'CLUSTER2_ERR_WORKER_UNKNOWN');
      assert.match(error.message, new RegExp(`\\b${pid}\\b`));
    }
  });

  it('to a dead worker are rejected', async () => {
    const script = await start('commands.js');
    const [gone] = script.workers();
    process.kill(gone, 'SIGKILL');
    await script.until('it is gone', () => script.emitted('died').length > 0);
    assert.strictEqual(
      (await ask(script.cwd, 'send', [gone, 'hello'])).error.code,
      'CLUSTER2_ERR_WORKER_UNKNOWN',
    );
  });

  it('beyond 8 MiB are dropped with a warning, those before and after them arrive', async () => {
    const LIMIT = 8 * 1024 * 1024;
    const script = await start('long-messages.js', 1);
    const [[worker]] = script.emitted('listening');
    await script.until('the last one arrives', () =>
      script.emitted('got').some(([message]) => message === 'last'),
    );
    assert.deepStrictEqual(script.emitted('got').flat(), [LIMIT, LIMIT, 'between', LIMIT, 'last']);
    // Node wraps a message with a handle.
    const sizes = [`${LIMIT + 1}`, `${40 * 1024 * 1024}`, '\\d+'];
    const areTold = () => script.emitted('warning').length >= sizes.length;
    await script.until('the others are reported', areTold);
    const warnings = script.emitted('warning').map(([{ message }]) => message);
    assert.strictEqual(warnings.length, sizes.length);
    for (const [index, size] of sizes.entries()) {
      assert.match(
        warnings[index],
        new RegExp(`worker ${worker} sent a message of ${size} bytes.* ${LIMIT} bytes`),
      );
    }
    assert.deepStrictEqual(script.emitted('died'), []);
  });

  it('sent by a worker just before it ends all arrive before its event `died`', async () => {
    const script = await start('last-messages.js', 1);
    await attempt({ port: script.port });
    await script.until('it has died', () => script.emitted('died').length > 0);
    const story = script.events().filter(([name]) => name === 'message' || name === 'died');
    const numbers = story.slice(0, 500).map(([, , message]) => message.number);
    assert.deepStrictEqual(numbers, Array.from({ length: 500 }, (_, index) => index + 1));
    assert.strictEqual(story[500][0], 'died');
    assert.deepStrictEqual(story[500][2], { code: 7, signal: null, reason: 'crash' });
  });
});

describe('a worker that does not read its messages', () => {
  it('is reported as busy, and gets all accepted messages when it reads again', async () => {
    const script = await start('master-floods.js');
    const [[first]] = script.emitted('listening');
    process.kill(first, 'SIGSTOP');
    script.kill('SIGUSR2');
    await script.until('a message is refused', () => script.emitted('refused').length > 0);
    const [[pid, code, accepted, broadcast]] = script.emitted('refused');
    assert.strictEqual(pid, first);
    assert.strictEqual(code, 'CLUSTER2_ERR_WORKER_BUSY');
    assert.ok(accepted >= 100, `${accepted} messages may wait`);
    assert.deepStrictEqual(broadcast, { sent: 1 }, 'a broadcast reaches the other worker');
    assert.strictEqual(
      (await script.status()).workers.length,
      2,
      'the master is well',
    );
    const { outcome, body } = await attempt({ port: script.port });
    assert.deepStrictEqual(
      [outcome, Number(body)],
      ['ok', script.workers().find((worker) => worker !== first)],
    );
    process.kill(first, 'SIGCONT');
    const heard = () => toldBy(script, 'heard').filter(([number]) => number !== 'all');
    await script.until('it has heard them all', () => heard().length === accepted);
    assert.deepStrictEqual(
      heard().map(([number]) => number),
      Array.from({ length: accepted }, (_, index) => index + 1),
    );
  });
});
