'use strict';

// The methods of a cluster, called in another process, in the master and in a worker. lifecycle/
// tests `stop()` and `shutdown()` from another process.

const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { Script } = require('../helpers/cluster');
const { attempt } = require('../helpers/load');
const { VERSION } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');

const start = async (settings) =>
  new Script('commands.js', { port: await freePort(), ...settings }).ready();

/** Returns one field of each worker in `status()`. */
const workersBy = async (script, field) =>
  (await ask(script.cwd, 'status')).ok.workers.map((worker) => worker[field]);

describe('a method called where no cluster runs', () => {
  let directory;
  beforeEach(() => (directory = fs.mkdtempSync('/tmp/cluster2-test-')));
  afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

  for (const [method, ...args] of [
    ['status'],
    ['stop'],
    ['shutdown'],
    ['shutdown', { wait: true }],
  ]) {
    it(`${method}(${args.map((arg) => JSON.stringify(arg))}) changes nothing`, async () => {
      const { ok } = await ask(directory, method, args);
      assert.deepStrictEqual(ok, {
        running: false,
        reason: `there is no directory ${directory}/pids (option 'pids')`,
      });
      assert.deepStrictEqual(fs.readdirSync(directory), []);
      fs.mkdirSync(path.join(directory, 'pids'));
      assert.deepStrictEqual((await ask(directory, method, args)).ok, { running: false });
    });
  }

  for (const [method, ...args] of [['scale', 2], ['send', 1, 'hello'], ['broadcast', 'hello']]) {
    it(`${method}() rejects, and says which directory it looked in`, async () => {
      const { error } = await ask(directory, method, args);
      assert.strictEqual(error.code, 'CLUSTER2_ERR_NOT_RUNNING');
      assert.match(error.message, new RegExp(path.join(directory, 'pids')));
    });
  }
});

describe('a method called in another process', () => {
  it('status() describes the master and each worker', async () => {
    const script = await start();
    await attempt({ port: script.port });
    const { ok: status } = await ask(script.cwd, 'status');
    assert.strictEqual(status.running, true);
    assert.strictEqual(status.master.pid, script.pid);
    assert.strictEqual(status.master.node, VERSION);
    assert.ok(
      Math.abs(Date.now() - Date.parse(status.master.startedAt)) < 60_000,
      status.master.startedAt,
    );
    assert.deepStrictEqual(
      status.workers.map((worker) => worker.pid).sort(),
      script.workers().sort(),
    );
    assert.deepStrictEqual(
      status.workers.map(({ slot, generation, state }) => ({ slot, generation, state })),
      [
        { slot: 0, generation: 1, state: 'ready' },
        { slot: 1, generation: 1, state: 'ready' },
      ],
    );
    assert.ok(
      status.workers.every(({ rss, cpu, restarts }) => rss > 1e6 && cpu > 0 && restarts === 0),
    );
    const { connections, timedOut, requests, handed, exits } = status.totals;
    const counted = { connections, timedOut, requests, handed, exits };
    assert.deepStrictEqual(counted, {
      connections: 1,
      timedOut: 0,
      requests: 1,
      handed: 0,
      exits: {},
    });
  });

  it('finds the cluster by the option `pids`, from any directory', async () => {
    const script = await start();
    const elsewhere = script.pids;
    const first = await ask(elsewhere, 'status', [], { options: { pids: script.pids } });
    assert.strictEqual(first.ok.master.pid, script.pid);
    const deep = path.join(script.cwd, 'a-directory-with-a-long-name/'.repeat(8), 'pids');
    const other = await start({ options: { pids: deep } });
    const found = await ask(elsewhere, 'status', [], { options: { pids: deep } });
    assert.strictEqual(found.ok.master.pid, other.pid, 'however long the path is');
  });

  it('scale() makes the cluster larger and smaller', async () => {
    const script = await start();
    assert.deepStrictEqual((await ask(script.cwd, 'scale', [4])).ok, { before: 2, workers: 4 });
    await script.until('four workers are ready', async () => {
      const states = await workersBy(script, 'state');
      return states.length === 4 && states.every((state) => state === 'ready');
    });
    assert.deepStrictEqual(
      (await ask(script.cwd, 'scale', ['1'])).error?.code,
      'CLUSTER2_ERR_ARGUMENT_INVALID',
    );
    assert.deepStrictEqual((await ask(script.cwd, 'scale', [1])).ok, { before: 4, workers: 1 });
    await script.until('one worker is left', () => script.workers().length === 1);
    assert.deepStrictEqual(await workersBy(script, 'slot'), [0]);
  });

  it('send() and broadcast() reach the workers', async () => {
    const script = await start();
    const [first] = script.workers();
    assert.deepStrictEqual((await ask(script.cwd, 'send', [first, { for: 'one' }])).ok, {
      sent: 1,
    });
    assert.deepStrictEqual((await ask(script.cwd, 'broadcast', ['for all'])).ok, { sent: 2 });
    const heard = () =>
      script.events({ allProcesses: true }).filter(([name]) => name === 'message');
    await script.until('all messages have arrived', () => heard().length === 3);
    assert.deepStrictEqual(
      heard().map(([, from]) => from),
      Array(3).fill(script.pid),
      'from the master',
    );
    const texts = heard().map(([, , message]) => JSON.stringify(message));
    assert.deepStrictEqual(texts.sort(), ['"for all"', '"for all"', '{"for":"one"}']);
  });

  it('only the owner of the cluster can reach its control socket', async () => {
    const script = await start();
    const { mode } = fs.statSync(path.join(script.pids, 'control.sock'));
    assert.strictEqual((mode & 0o777).toString(8), '600');
  });

  it('many silent clients, some in the middle of a request, delay no other client', async () => {
    const script = await start();
    const socket = path.join(script.pids, 'control.sock');
    const reload = ask(script.cwd, 'reload');
    await script.until('it has begun', () => script.workers().length > 2);
    const limit = Number(
      fs.readFileSync('/proc/self/limits', 'utf8').match(/Max open files +(\d+)/)[1],
    );
    const silent = [];
    const connect = () => silent.push(net.connect(socket).on('error', () => {}));
    // The kernel refuses more connections at once than its backlog holds.
    const more = () => {
      const connecting = silent.filter((client) => client.connecting).length;
      for (let count = connecting; count < 100; count += 1) connect();
      return silent.length >= Math.min(2000, limit - 200);
    };
    try {
      await until('enough clients have connected', more);
      for (const client of silent.slice(-20))
        client.write('POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\n{');
      const { ok, took } = await ask(script.cwd, 'status');
      assert.strictEqual(ok.master.pid, script.pid);
      assert.ok(took < 2000, `it took ${took} ms`);
      assert.deepStrictEqual(
        (await reload).ok,
        { replaced: 2 },
        'an earlier caller is answered',
      );
      assert.ok(
        fs.readdirSync(`/proc/${script.pid}/fd`).length < 300,
        'the master keeps few of them open',
      );
    } finally {
      silent.forEach((client) => client.destroy());
    }
  });

  it('many callers at once are all answered', async () => {
    const script = await start();
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask(script.cwd, 'status')));
    assert.ok(answers.every(({ ok }) => ok.master.pid === script.pid));
  });
});

describe('a method called inside the cluster', () => {
  const inWorker = async (script, command) => {
    const { body } = await attempt({
      port: script.port,
      path: `/worker?${encodeURIComponent(JSON.stringify(command))}`,
    });
    return JSON.parse(body);
  };
  const inMaster = async (script, command) => {
    await attempt({
      port: script.port,
      path: `/master?${encodeURIComponent(JSON.stringify(command))}`,
    });
    await script.until('the master has its answer', () => script.emitted('answer').length > 0);
    return script.emitted('answer').at(-1)[1];
  };

  for (const [where, asked] of [['a worker', inWorker], ['the master', inMaster]]) {
    it(`${where} may call status()`, async () => {
      const script = await start();
      const { ok } = await asked(script, ['status']);
      assert.strictEqual(ok.master.pid, script.pid);
      assert.strictEqual(ok.workers.length, 2);
    });

    it(`${where} may call scale()`, async () => {
      const script = await start();
      assert.deepStrictEqual(await asked(script, ['scale', 3]), { ok: { before: 2, workers: 3 } });
      await script.ready(3);
    });

    it(`${where} may call send()`, async () => {
      const script = await start();
      const [first] = script.workers();
      assert.deepStrictEqual(await asked(script, ['send', first, 'psst']), { ok: { sent: 1 } });
      await script.until('it arrives', () =>
        script.events({ allProcesses: true }).some((event) => event[2] === 'psst'),
      );
    });

    it(`${where} may call shutdown(): every process exits with code 0`, async () => {
      const script = await start();
      assert.deepStrictEqual(await asked(script, ['shutdown']), {
        ok: { running: true, pid: script.pid },
      });
      assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
      assert.deepStrictEqual(
        script.emitted('died').map(([, end]) => end),
        Array(2).fill({ code: 0, signal: null, reason: 'shutdown' }),
      );
      assert.deepStrictEqual(fs.readdirSync(script.pids), []);
    });
  }

  it('the master may call shutdown({ wait: true })', async () => {
    const script = await start();
    const { ok } = await inMaster(script, ['shutdown', { wait: true }]);
    assert.deepStrictEqual(ok, { running: true, pid: script.pid });
    assert.deepStrictEqual(script.workers(), []);
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('the master may call stop()', async () => {
    const script = await start();
    assert.deepStrictEqual(await inMaster(script, ['stop']), {
      ok: { running: true, pid: script.pid },
    });
    assert.deepStrictEqual(script.workers(), []);
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });
  it('calls made while the cluster ends are answered', async () => {
    const script = new Script('calls-during-shutdown.js', { port: await freePort() });
    await script.until('all calls are answered', () => script.emitted('answers').length > 0);
    for (const [method, answer] of script.emitted('answers')[0][0]) {
      if (method === 'broadcast')
        assert.strictEqual(answer.sent ?? answer, answer.sent ?? 'CLUSTER2_ERR_NOT_RUNNING');
      else
        assert.strictEqual(
          typeof answer.running,
          'boolean',
          `${method}: ${JSON.stringify(answer)}`,
        );
    }
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });
});
