'use strict';

// The option `maxWorkers`: the number of workers follows their work, and no client notices.

const assert = require('node:assert');
const { request } = require('../helpers/client');
const { cluster2, statusOf } = require('../helpers/cli');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { every } = require('../helpers/wait');

/** Time for a window of measurements and the start or end of a worker, in milliseconds. */
const FOLLOWED = 25_000;

/** One client that has a worker compute without a pause, until it is stopped. */
function compute(port) {
  let isStopped = false;
  const asked = (async () => {
    while (!isStopped) await request(port, '/work?40');
  })();
  return () => ((isStopped = true), asked);
}

describe('maxWorkers', function () {
  this.timeout(90_000);
  let server;
  let monPort;
  let tasks;

  // Both are measured at the same time.
  before(async () => {
    monPort = await freePort();
    const options = { noWorkers: 1, maxWorkers: 2, monPort };
    server = new Script('elastic.js', { port: await freePort(), options });
    const cli = ['--no-listen', '--max-workers', '2', '--mon-port', 'off'];
    tasks = new Script('busy-task.js', { cli });
    await Promise.all([server.ready(1), tasks.ready(1)]);
  });

  it('adds a worker for work, removes it without work, and loses no request', async () => {
    const changes = () => server.emitted('scale').map(([change]) => change);
    const stop = compute(server.port);
    await server.until('there is work for two', () => changes().length === 1, FOLLOWED);
    const [{ utilization, ...grown }] = changes();
    assert.deepStrictEqual(grown, { from: 1, to: 2, reason: 'load' });
    assert.ok(utilization > 0.6 && utilization <= 1, `${utilization}`);
    await server.ready(2);
    const { scaling, target } = (await server.status()).master;
    assert.deepStrictEqual([target, scaling.min, scaling.max, scaling.limitedBy], [2, 1, 2, null]);
    assert.match(cluster2(server.cwd, 'status').stdout, /^scaling: 1 to 2 workers, \d+% busy over/m);
    const { stdout } = cluster2(server.cwd, 'events');
    assert.match(stdout, /from 1 to 2 workers: \d+% busy over 10 s/);
    const { body } = await request(monPort, '/metrics');
    assert.match(body, /^cluster2_scalings_total\{direction="up"\} 1$/m);
    assert.match(body, /^cluster2_workers_max 2\.0$/m);
    await stop();
    const answers = [];
    const end = every(50, () => answers.push(request(server.port, '/')));
    await server.until('one is left', () => changes().length === 2, FOLLOWED);
    await server.until('the other is gone', () => server.emitted('died').length === 1);
    end();
    assert.ok((await Promise.all(answers)).every(({ status }) => status === 200));
    const { from, to, reason } = changes()[1];
    assert.deepStrictEqual([from, to, reason], [2, 1, 'load']);
    const deaths = server.emitted('died').map(([, { code, reason: why }]) => [code, why]);
    assert.deepStrictEqual(deaths, [[0, 'scale']]);
  });

  it('does the same for workers that do not listen', async () => {
    await tasks.until(
      'there is work for two',
      () => /from 1 to 2 workers: \d+% busy/.test(tasks.errors),
      FOLLOWED,
    );
    await tasks.ready(2);
  });
});

describe('scale with maxWorkers', () => {
  it('sets the minimum, up to maxWorkers, and an upgrade keeps the present number', async () => {
    const options = { noWorkers: 1, maxWorkers: 3 };
    const script = new Script('elastic.js', { port: await freePort(), options });
    await script.ready(1);
    const scale = (to) => cluster2(script.cwd, 'scale', to);
    const line = 'from at least 1 to at least 2 workers; 2 now, 3 at most\n';
    assert.strictEqual(scale('2').stdout, line);
    assert.strictEqual(
      scale('+1').stdout, 'from at least 2 to at least 3 workers; 3 now, 3 at most\n',
    );
    assert.match(scale('4').stderr, /to 4: there must be 1 to 3 workers \(option 'maxWorkers'\)/);
    assert.strictEqual(
      scale('1').stdout, 'from at least 3 to at least 1 worker; 3 now, 3 at most\n',
    );
    await script.ready(3);
    const changes = script.emitted('scale').map(([{ from, to, reason }]) => [from, to, reason]);
    assert.deepStrictEqual(changes, [[1, 2, 'command'], [2, 3, 'command']]);
    assert.strictEqual(cluster2(script.cwd, 'upgrade').status, 0);
    const { master, workers } = statusOf(script.cwd);
    assert.deepStrictEqual([master.target, master.scaling.min, workers.length], [3, 1, 3]);
  });
});
