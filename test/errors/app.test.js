'use strict';

// An invalid app is reported clearly by the process that sees it first, and nothing is left
// running.

const assert = require('node:assert');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const Cluster = require('../..');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');

const CODE = 'CLUSTER2_ERR_APP_INVALID';

const run = async (name, { listener = false, ...options } = {}) =>
  new Script('listen-cases.js', {
    port: await freePort(),
    options,
    env: { CASE: name, LISTENER: listener ? '1' : '' },
  });

/** Waits until the script exits with code 255, and checks that no worker and no file is left. */
async function fails(script) {
  assert.deepStrictEqual(await script.ended(), { code: 255, signal: null }, script.errors);
  assert.deepStrictEqual(script.workers(), []);
  const left = fs.existsSync(script.pids) ? fs.readdirSync(script.pids) : [];
  assert.deepStrictEqual(left, [], 'files are left');
  return script.untimed;
}

describe('listen() with invalid arguments throws before anything happens', () => {
  const invalid = (pattern) => ({ name: 'TypeError', code: CODE, message: pattern });

  for (const wrong of [undefined, null, 5, 'app', {}, http.createServer()]) {
    it(`createApp is ${wrong?.constructor?.name ?? wrong}`, () => {
      // Not the default directory: `npm start` leaves one in the clone.
      const pids = path.join(os.tmpdir(), `cluster2-errors-${process.pid}`);
      assert.throws(
        () => new Cluster({ pids }).listen(wrong),
        invalid(/createApp must be a function.*got/),
      );
      assert.ok(!fs.existsSync(pids));
    });
  }

  for (const wrong of [null, 5, 'callback', {}]) {
    it(`callback is ${wrong?.constructor?.name ?? wrong}`, () => {
      assert.throws(
        () => new Cluster().listen(() => {}, wrong),
        invalid(/callback must be a function.*got/),
      );
    });
  }
});

describe('an app of an unknown kind', () => {
  it('passed at once: one line, exit code 255, and no worker is started', async () => {
    const script = await run('nonsense');
    assert.match(
      await fails(script),
      new RegExp(`^cluster2: the app must be .*got object \\(${CODE}\\)\n$`),
    );
    assert.deepStrictEqual(script.emitted('forked'), []);
  });

  it('passed later: the master says so, and its workers are gone too', async () => {
    const script = await run('nonsense later');
    assert.match(
      await fails(script),
      new RegExp(`cluster2: the app must be .*got string \\(${CODE}\\)\n`),
    );
  });

  it('passed in workers only: they say so, and the master gives up', async () => {
    const script = await run('nonsense in workers');
    const errors = await fails(script);
    assert.match(errors, new RegExp(`cluster2: the app must be .*got number \\(${CODE}\\)\n`));
    assert.match(errors, /cluster2: no worker became ready: .*\(CLUSTER2_ERR_START_FAILED\)\n$/);
    assert.ok(script.emitted('forked').length <= 3, 'no restarts without end');
  });

  it('emits error if that has a listener, and does not exit with 255', async () => {
    const script = await run('nonsense', { listener: true });
    assert.deepStrictEqual(
      await script.ended(),
      { code: 0, signal: null },
      'ends because it has nothing to do',
    );
    const [[error]] = script.emitted('error');
    assert.strictEqual(error.code, CODE);
    assert.strictEqual(error.name, 'TypeError');
    assert.strictEqual(script.errors, '');
  });

  it('passed in workers only emits error too, soon', async () => {
    const script = await run('nonsense in workers', { listener: true });
    await script.until('the master has emitted it', () => script.emitted('error').length > 0);
    assert.strictEqual(script.emitted('error')[0][0].code, 'CLUSTER2_ERR_START_FAILED');
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });
});

describe('a createApp that fails', () => {
  for (const name of ['throws', 'rejects']) {
    it(`${name}: the reason is printed, exit code 255`, async () => {
      const script = await run(name);
      const errors = await fails(script);
      assert.match(errors, /no json|JSON/);
      assert.doesNotMatch(errors, /undefined/);
    });
  }

  it('only in workers: the reason is printed, and the master gives up', async () => {
    const script = await run('throws in workers');
    const errors = await fails(script);
    assert.match(errors, /no json|JSON/);
    assert.match(errors, /CLUSTER2_ERR_START_FAILED/);
  });

  it('to call back in a worker: the master gives up after startTimeout', async () => {
    const script = await run('never', { startTimeout: 300 });
    const errors = await fails(script);
    assert.match(
      errors,
      /no worker became ready: worker \d+ was not ready in time\. It never called listen\(\): .* \(CLUSTER2_ERR_START_FAILED\)\n$/,
    );
    assert.match(script.emitted('warning')[0][0].message, /worker \d+ was not ready within 300 ms/);
    const ends = script
      .emitted('died')
      .map(([, end]) => end)
      .slice(0, 2);
    assert.deepStrictEqual(
      ends,
      Array(2).fill({ code: null, signal: 'SIGKILL', reason: 'start-timeout' }),
    );
  });
});

describe('a script that a worker cannot run', () => {
  it('ends the first start with exit code 255 and the reason', async () => {
    const script = new Script('throws-at-start.js', { port: await freePort() });
    const errors = await fails(script);
    assert.match(errors, /Error: the database is not there/);
    assert.match(
      errors,
      /cluster2: no worker became ready: worker \d+ .*\(CLUSTER2_ERR_START_FAILED\)\n$/,
    );
    assert.ok(script.emitted('forked').length <= 3, 'no restarts without end');
  });

  it('is named if it does not exist (option exec)', async () => {
    const script = await run('server', { exec: 'does/not/exist.js' });
    const errors = await fails(script);
    assert.match(errors, /Cannot find module '.*does\/not\/exist\.js'/);
    assert.match(errors, /CLUSTER2_ERR_START_FAILED/);
  });
});

describe('listen() twice', () => {
  it('on two Clusters of one script throws, and says what to do', async () => {
    const script = await new Script('two-clusters.js', { port: await freePort() }).ready();
    const thrown = script.events({ allProcesses: true }).filter(([name]) => name === 'thrown');
    assert.strictEqual(thrown.length, 3);
    for (const [, { code, message }] of thrown) {
      assert.strictEqual(code, 'CLUSTER2_ERR_WRONG_STATE');
      assert.match(message, /One cluster can have several apps and ports/);
    }
    assert.strictEqual((await request(script.port)).body, 'the first');
    assert.ok(!fs.existsSync(path.join(script.cwd, 'others')), 'the second cluster began nothing');
  });

  it('with and without workers in one script throws too, in both orders', async () => {
    for (const [options, times] of [[[{}, { cluster: false }], 3], [[{ cluster: false }, {}], 1]]) {
      const script = new Script('two-clusters.js', { port: await freePort(), options: { options } });
      await script.until('the first serves', async () =>
        (await request(script.port).catch(() => ({}))).body === 'the first');
      await script.until('all have thrown', () =>
        script.events({ allProcesses: true }).filter(([name]) => name === 'thrown').length === times);
      script.kill();
      assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    }
  });

  it('on one Cluster throws, and the cluster goes on', async () => {
    const script = await new Script('listen-twice.js', { port: await freePort() }).ready();
    const [[error]] = script.emitted('thrown');
    assert.strictEqual(error.code, 'CLUSTER2_ERR_WRONG_STATE');
    assert.strictEqual(script.workers().length, 2);
    assert.ok(
      script.events({ allProcesses: true }).filter(([name]) => name === 'thrown').length === 3,
      'in workers as well',
    );
  });
});
