'use strict';

// The events of a Cluster: each worker's life from `forked` to `died`, signals, heartbeats and
// warnings.

const assert = require('node:assert');
const EventEmitter = require('node:events');
const { once } = EventEmitter;
const { beat } = require('../../lib/cluster/heartbeat');
const { ask } = require('../helpers/ask');
const { Connection } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { attempt } = require('../helpers/load');
const { freePort } = require('../helpers/ports');
const { elapse, within } = require('../helpers/wait');

const start = async (options, file = 'commands.js') =>
  new Script(file, { port: await freePort(), options }).ready(options?.noWorkers);

/**
 * Sends `command` to the worker that accepts the request, and waits until the worker is replaced.
 */
async function provoke(script, command) {
  const before = script.emitted('listening').length;
  const died = script.emitted('died').length;
  await attempt({ port: script.port, path: `/worker?${JSON.stringify(command)}` });
  await script.until('a replacement listens', () => script.emitted('listening').length > before);
  await script.until('the death is reported', () => script.emitted('died').length > died);
}

const deaths = (script) => script.emitted('died').map(([, end]) => end);
const REQUEST = 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n';

describe('the events of a worker’s life', () => {
  it('come in order: forked, listening, died', async () => {
    const script = await start();
    script.kill('SIGTERM');
    await script.ended();
    for (const [pid] of script.emitted('forked')) {
      const life = script.events().filter(([, who]) => who === pid).map(([name]) => name);
      assert.deepStrictEqual(life, ['forked', 'listening', 'died']);
    }
    assert.strictEqual(new Set(script.emitted('forked').flat()).size, 2);
  });

  it('include the callback of listen(), once, when the first worker listens', async () => {
    const script = await start();
    await script.until('it was called', () => script.emitted('called back').length > 0);
    const names = script.events().map(([name]) => name);
    assert.strictEqual(names.filter((name) => name === 'called back').length, 1);
    assert.ok(names.indexOf('called back') > names.indexOf('listening'), String(names));
    const everywhere = () =>
      script.events({ allProcesses: true }).filter(([name]) => name === 'called back');
    await script.until('it was called in each worker too', () => everywhere().length === 3);
  });

  it('report an exit as a crash, with its exit code', async () => {
    const script = await start();
    await provoke(script, ['exit', 3]);
    assert.deepStrictEqual(deaths(script), [{ code: 3, signal: null, reason: 'crash' }]);
  });

  it('report an unrequested exit with code 0 as a crash too', async () => {
    const script = await start();
    await provoke(script, ['exit', 0]);
    assert.deepStrictEqual(deaths(script), [{ code: 0, signal: null, reason: 'crash' }]);
  });

  for (const signal of ['SIGABRT', 'SIGUSR2']) {
    it(`report an end by ${signal} as a crash, with its signal`, async () => {
      const script = await start();
      await provoke(script, ['kill', signal]);
      assert.deepStrictEqual(deaths(script), [{ code: null, signal, reason: 'crash' }]);
      assert.deepStrictEqual(script.emitted('SIGKILL'), []);
    });
  }

  it('include the event SIGKILL, just before died, after an end by SIGKILL', async () => {
    const script = await start();
    await provoke(script, ['kill', 'SIGKILL']);
    const [[pid]] = script.emitted('died');
    assert.deepStrictEqual(script.emitted('SIGKILL'), [[{ pid, type: 'worker' }]]);
    assert.deepStrictEqual(deaths(script), [{ code: null, signal: 'SIGKILL', reason: 'crash' }]);
    const names = script.events().map(([name]) => name);
    assert.strictEqual(names.indexOf('died'), names.indexOf('SIGKILL') + 1);
  });

  it('include died exactly once, whatever happens to the worker', async () => {
    const script = await start({ noWorkers: 3 });
    await provoke(script, ['exit', 1]);
    await provoke(script, ['kill', 'SIGKILL']);
    await ask(script.cwd, 'scale', [2]);
    await script.until('the cluster is smaller', () =>
      deaths(script).some(({ reason }) => reason === 'scale'),
    );
    await ask(script.cwd, 'shutdown', [{ wait: true }]);
    await script.ended();
    const died = script.emitted('died').map(([pid]) => pid);
    assert.deepStrictEqual(died.sort(), script.emitted('forked').flat().sort());
    assert.strictEqual(new Set(died).size, 5);
    const reasons = deaths(script).map(({ reason }) => reason);
    assert.deepStrictEqual(reasons.sort(), ['crash', 'crash', 'scale', 'shutdown', 'shutdown']);
  });

  it('report an end by SIGKILL after stop()', async () => {
    const script = await start();
    await ask(script.cwd, 'stop');
    await script.ended();
    assert.deepStrictEqual(
      deaths(script),
      Array(2).fill({ code: null, signal: 'SIGKILL', reason: 'stop' }),
    );
    assert.strictEqual(script.emitted('SIGKILL').length, 2);
  });
});

describe('the event close of a server', () => {
  it('comes when a shutdown starts, and the manual’s graceful example still answers', async () => {
    const script = await start(undefined, 'graceful.js');
    const connection = new Connection(script.port);
    await connection.say(REQUEST, 'hello');
    assert.doesNotMatch(connection.received, /connection: close/i);
    script.kill('SIGTERM');
    const closed = () =>
      script.events({ allProcesses: true }).filter(([name]) => name === 'close').length;
    await script.until('both servers emit close', () => closed() === 2);
    assert.ok(!connection.ended, 'the connection is still open');
    connection.received = '';
    await connection.say(REQUEST, 'hello');
    assert.match(connection.received, /^HTTP\/1.1 200 OK\r\n/);
    assert.match(connection.received, /\r\nconnection: close\r\n/i);
    await connection.isClosed();
    assert.strictEqual(connection.error, undefined);
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    assert.strictEqual(closed(), 2, 'once in each worker');
    assert.strictEqual(script.errors, '');
  });
});

describe('the event heartbeat', () => {
  it('holds the status in the master, and the worker’s own numbers in a worker', async () => {
    const script = await start({ noWorkers: 1 }, 'heartbeats.js');
    const [worker] = script.workers();
    const beats = () =>
      script
        .events({ allProcesses: true })
        .filter(([name]) => name === 'heartbeat')
        .map(([, stats]) => stats);
    const ofMaster = () =>
      beats().find((stats) => stats.master && stats.workers[0]?.state === 'ready');
    const ofWorker = () => beats().find((stats) => stats.pid === worker);
    await script.until('both have emitted it', () => ofMaster() && ofWorker());
    assert.strictEqual(ofMaster().master.pid, script.pid);
    assert.deepStrictEqual(ofMaster().workers.map(({ pid }) => pid), [worker]);
    const { connections, requests, eventLoopDelay, rss, cpu } = ofWorker();
    assert.deepStrictEqual(connections, { active: 0, total: 0, timedOut: 0 });
    assert.deepStrictEqual(requests, { active: 0, total: 0 });
    assert.ok(eventLoopDelay >= 0 && rss > 1e6 && cpu > 0);
  });

  it('comes while it has a listener, whenever that is added', async () => {
    const cluster = new EventEmitter();
    let asked = 0;
    const end = beat(cluster, { heartbeatInterval: 1 }, () => ({ asked: (asked += 1) }));
    for (let round = 1; round <= 2; round += 1) {
      await elapse(5, 'several beats, if there were any');
      const before = asked;
      const [stats] = await within('a heartbeat', once(cluster, 'heartbeat'));
      assert.deepStrictEqual(stats, { asked: before + 1 }, 'nothing was asked without a listener');
      await elapse(5, 'several beats, if there were any');
      assert.strictEqual(asked, before + 1);
    }
    end();
    assert.deepStrictEqual(cluster.eventNames(), []);
  });

  it('does not delay or break the end of a cluster', async () => {
    const script = await start({ noWorkers: 1 }, 'heartbeats.js');
    script.kill('SIGTERM');
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    assert.strictEqual(script.errors, '');
  });
});

describe('the event warning', () => {
  it('says how many connections a shutdown cut, and after how long', async () => {
    const script = await start({ shutdownTimeout: 400 });
    const cut = attempt({ port: script.port, path: '/slow?60000' });
    await script.until('it is being answered', async () => {
      const status = await script.status();
      return status.workers.some(({ requests }) => requests.active === 1);
    });
    script.kill('SIGTERM');
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    assert.notStrictEqual((await cut).outcome, 'ok');
    const [[{ message }], ...more] = script.emitted('warning');
    assert.match(
      message,
      /^worker \d+ did not finish within 400 ms \(shutdownTimeout\); it was killed with 1 open connection/,
    );
    assert.deepStrictEqual(more, []);
    const ends = deaths(script).map(({ signal, reason }) => `${signal} ${reason}`).sort();
    assert.deepStrictEqual(ends, ['SIGKILL shutdown', 'null shutdown']);
  });

  it('is printed if it has no listener', async () => {
    const script = new Script('never-ready.js', { port: await freePort() });
    assert.deepStrictEqual(await script.ended(), { code: 255, signal: null });
    const [warning, failure] = script.untimed.split('\n');
    assert.match(
      warning,
      /^cluster2: warning: worker \d+ was not ready within 200 ms; it is killed$/,
    );
    assert.match(failure, /^cluster2: no worker became ready: .*\(CLUSTER2_ERR_START_FAILED\)$/);
  });

  it('is printed with the time, unless a terminal or journald shows it', async () => {
    const journal = 'JOURNAL_STREAM="$(stat -Lc %d:%i /dev/stderr)" exec "$0" "$@"';
    for (const [command, stream, time] of [
      ['exec "$0" "$@"', 'errors', '\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z '],
      [journal, 'errors', ''],
      ['exec script -qec "$0 $*" /dev/null', 'output', ''],
    ]) {
      const through = ['sh', '-c', command];
      const script = new Script('never-ready.js', { port: await freePort(), through });
      await script.ended();
      const lines = script[stream].split(/\r?\n/).filter((line) => line.includes('cluster2: '));
      assert.strictEqual(lines.length, 2, script[stream]);
      for (const line of lines) assert.match(line, new RegExp(`^${time}cluster2: `));
    }
  });
});
