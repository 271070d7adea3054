'use strict';

// A spare has run its script, and serves when another worker ends.

const assert = require('node:assert');
const { cluster2 } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { SHOWS_ENDING } = require('../helpers/exit-news');
const { freePort } = require('../helpers/ports');
const { serves, settled } = require('../helpers/spares');

const start = async (options) =>
  new Script('http.js', { port: await freePort(), options: { spares: 1, ...options } }).ready();

/** Waits until these are the events about that worker, in order. */
async function assertStory(script, pid, names) {
  const story = () => script.events().filter(([, about]) => about === pid).map(([name]) => name);
  await script.until(`${names} of ${pid}`, () => story().length >= names.length);
  assert.deepStrictEqual(story(), names);
}

const answers = async (port, count) => {
  const all = Array.from({ length: count }, () => request(port, '/pid'));
  return new Set((await Promise.all(all)).map(({ body }) => Number(body)));
};

describe('a spare', () => {
  it('gets no connection, and serves when a worker is killed; another spare is made', async () => {
    const script = await start();
    const { ready, spares: [spare] } = await settled(script);
    await assertStory(script, spare, ['forked', 'spare']);
    assert.deepStrictEqual([...await answers(script.port, 40)].sort(), ready.sort());
    process.kill(ready[0], 'SIGKILL');
    await serves(script, spare);
    await assertStory(script, spare, ['forked', 'spare', 'activated', 'listening']);
    const now = await settled(script);
    assert.deepStrictEqual([...await answers(script.port, 40)].sort(), now.ready.sort());
    const { workers, slots, master } = await script.status();
    const slotOf = (pid) => workers.find((worker) => worker.pid === pid).slot;
    assert.deepStrictEqual([slotOf(spare), slotOf(now.spares[0]), slots.length], [2, 0, 3]);
    assert.deepStrictEqual([master.target, master.spares], [2, 1]);
    const told = () => script.events({ allProcesses: true });
    const inWorker = () => told().filter(([name, pid]) => name === 'activated' && pid === spare);
    await script.until('the worker hears it too', () => inWorker().length >= 2);
    assert.strictEqual(inWorker().length, 2);
  });

  it('is activated before the memory of a killed worker is free', async function () {
    if (!SHOWS_ENDING) this.skip();
    const script = await start();
    await settled(script);
    // The kernel frees it in 30 to 50 ms. Without news of the end both are less than 1 ms apart.
    process.kill(Number((await request(script.port, '/fill?600')).body), 'SIGKILL');
    await script.until('it is gone', () => script.emitted('died').length > 0);
    const { events } = await script.status();
    const find = (words) => events.findLast(({ message }) => words.test(message));
    const timeOf = (words) => Date.parse(find(words).time);
    const before = timeOf(/is gone/) - timeOf(/is activated/);
    assert.ok(before >= 5, `${before} ms before it is gone`);
  });

  it('that ends is not a crash of the service, and is replaced', async () => {
    const script = await start({ giveUpAfter: 1 });
    const { spares: [spare] } = await settled(script);
    process.kill(spare, 'SIGKILL');
    await script.until('it is gone', () => script.emitted('died').length > 0);
    const death = { code: null, signal: 'SIGKILL', reason: 'spare' };
    assert.deepStrictEqual(script.emitted('died'), [[spare, death]]);
    const { spares: [another] } = await settled(script);
    assert.notStrictEqual(another, spare);
    const { slots, totals, events } = await script.status();
    assert.deepStrictEqual(slots.map(({ crashes }) => crashes), [0, 0, 0]);
    assert.deepStrictEqual(totals.exits, { spare: 1 });
    const told = events.find(({ type }) => type === 'exit');
    assert.deepStrictEqual([told.level, told.slot], ['warn', 2]);
  });

  it('that hangs is found and replaced', async () => {
    const script = await start({ maxHeartbeatDelay: 1000 });
    const { spares: [spare] } = await settled(script);
    process.kill(spare, 'SIGSTOP');
    const dead = () => script.emitted('died').find(([pid]) => pid === spare);
    await script.until('it is killed', dead);
    assert.strictEqual(dead()[1].reason, 'spare');
    await settled(script);
  });

  it('serves at once when the cluster grows, and is there again when it shrinks', async () => {
    const script = await start();
    const { spares: [spare] } = await settled(script);
    await script.status();
    assert.strictEqual(cluster2(script.cwd, 'scale', '3').status, 0);
    await serves(script, spare);
    await settled(script, { workers: 3 });
    assert.strictEqual(cluster2(script.cwd, 'scale', '1').status, 0);
    await settled(script, { workers: 1 });
  });

  it('ends with the cluster', async () => {
    const script = await start();
    const { spares: [spare] } = await settled(script);
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
    const [, death] = script.emitted('died').find(([pid]) => pid === spare);
    assert.deepStrictEqual(death, { code: 0, signal: null, reason: 'shutdown' });
  });
});
