'use strict';

// The next worker starts as soon as the process before it is known to end.

const assert = require('node:assert');
const os = require('node:os');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { SHOWS_ENDING } = require('../helpers/exit-news');
const { freePort } = require('../helpers/ports');

const DEADLINE = 5000;

/** Waits, without a pause, until there is another worker than these. Returns all that are there. */
function withNext(script, before) {
  const begun = performance.now();
  for (;;) {
    const workers = script.workers();
    if (workers.some((pid) => !before.includes(pid))) return workers;
    assert.ok(performance.now() < begun + DEADLINE, 'no other worker starts');
  }
}

describe('the worker after one that is killed', () => {
  it('starts before the memory of that is free', async function () {
    if (!SHOWS_ENDING) this.skip();
    const script = await new Script('http.js', { port: await freePort() }).ready();
    const before = script.workers();
    // The kernel frees it in 30 to 50 ms.
    const killed = Number((await request(script.port, '/fill?600')).body);
    process.kill(killed, 'SIGKILL');
    const workers = withNext(script, before);
    assert.ok(workers.includes(killed), 'the killed one is not gone yet');
    await script.ready(3);
    assert.deepStrictEqual(script.emitted('died').map(([pid]) => pid), [killed]);
  });

  it('begins when that is gone, and so is the port that only one of them can have', async function () {
    // To free 2 GB takes the kernel longer than it takes the next one to begin.
    if (!SHOWS_ENDING || os.freemem() < 4 * 1024 ** 3) this.skip();
    const [port, OWN_PORT] = [await freePort(), String(await freePort())];
    const script = await new Script('own-port.js', { port, env: { OWN_PORT } }).ready(1);
    const killed = Number((await request(port, '/fill')).body);
    process.kill(killed, 'SIGKILL');
    assert.ok(withNext(script, [killed]).includes(killed), 'the killed one is not gone yet');
    await script.ready(2);
    assert.deepStrictEqual(script.emitted('died').map(([pid]) => pid), [killed]);
  });

  it('is replaced itself if it ends before it listens', async () => {
    const script = await new Script('http.js', { port: await freePort() }).ready();
    const before = script.workers();
    process.kill(before[0], 'SIGKILL');
    const next = withNext(script, before).filter((pid) => !before.includes(pid));
    for (const pid of next) process.kill(pid, 'SIGKILL');
    await script.until('both are dead', () => script.emitted('died').length === 2);
    await script.ready(3);
    assert.deepStrictEqual(script.emitted('died').map(([pid]) => pid).sort(), [before[0], ...next].sort());
  });
});
