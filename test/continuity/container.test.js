'use strict';

// The master as process 1 of a pid namespace, as in a container without an init: for this process
// signals have no default action, and it becomes the parent of all orphans.

const assert = require('node:assert');
const fs = require('node:fs');
const { Connection } = require('../helpers/client');
const { canContain, isAlive } = require('../helpers/cluster');
const hammer = require('../helpers/hammer');
const { assertCleanEnd, startServer } = require('../helpers/hammered');

const CLIENTS = hammer.allExcept('upgrade', 'pipelined');

const isZombie = (pid) => /^\d+ \(.*\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));

describe('a master that is process 1 of a container', () => {
  before('needs a pid namespace, which some users may not make', function () {
    if (!canContain()) this.skip();
  });
  const start = (options) =>
    startServer({ container: true, options: { noWorkers: 2, ...options } });

  it('has pid 1', async () => {
    const script = await start();
    assert.strictEqual(
      fs.readlinkSync(`/proc/${script.master}/ns/pid`),
      fs.readlinkSync(`/proc/${script.workers()[0]}/ns/pid`),
    );
    assert.notStrictEqual(
      fs.readlinkSync(`/proc/${script.master}/ns/pid`),
      fs.readlinkSync('/proc/self/ns/pid'),
    );
    assert.match(fs.readFileSync(`/proc/${script.master}/status`, 'utf8'), /^NSpid:\t\d+\t1$/m);
  });

  for (const signal of ['SIGTERM', 'SIGINT']) {
    it(`answers open requests on ${signal}, refuses new ones, and exits with 0`, async () => {
      const script = await start();
      const workers = script.workers();
      const load = hammer.start(script.port, { clients: CLIENTS, untilRefused: true });
      await load.answered(100);
      script.kill(signal);
      hammer.assertClean(await load.stop(), { except: hammer.LEAVING });
      await assertCleanEnd(script);
      assert.deepStrictEqual(workers.filter(isAlive), []);
      assert.deepStrictEqual(
        script.emitted('died').map(([, death]) => death),
        Array(2).fill({ code: 0, signal: null, reason: 'shutdown' }),
      );
    });
  }

  it('ends within shutdownTimeout even if a request does not', async () => {
    const script = await start({ shutdownTimeout: 700 });
    const held = new Connection(script.port);
    await held.say('GET /slow/held/60000 HTTP/1.1\r\nHost: test\r\n\r\n', 'held');
    script.kill();
    await held.isClosed();
    await assertCleanEnd(script);
    assert.match(
      script
        .emitted('warning')
        .map(([{ message }]) => message)
        .join(),
      /did not finish within 700 ms/,
    );
  });

  it('replaces a killed worker, leaves no zombie, and reloads', async () => {
    const script = await start();
    const load = hammer.start(script.port, { clients: { keepAlive: 4, oneShot: 4 } });
    await load.answered(50);
    process.kill(script.workers()[0], 'SIGKILL');
    await script.until('another one is there', () => script.emitted('listening').length === 3);
    await script.until('the death is reported', () => script.emitted('died').length === 1);
    assert.deepStrictEqual(script.workers().filter(isZombie), []);
    await load.stop();
    const clean = hammer.start(script.port);
    await clean.answered(50);
    script.kill('SIGHUP');
    await script.until(
      'all workers are replaced',
      () => script.emitted('reload').length === 1 && script.emitted('died').length === 3,
    );
    await clean.answered(50);
    hammer.assertClean(await clean.stop());
    assert.deepStrictEqual(script.workers().filter(isZombie), []);
  });
});
