'use strict';

// `cluster2 restart`: the same process starts its cluster again, with changed options and code.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { cluster2, startPlain, statusOf } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { startServer } = require('../helpers/hammered');
const { until } = require('../helpers/wait');

describe('cluster2 restart', () => {
  it('keeps its process, takes changed options, and answers open requests', async () => {
    const script = await startPlain();
    const held = request(script.port, '/late/x/900');
    await until('the request is under way', () =>
      statusOf(script.cwd).workers.some(({ requests }) => requests.active === 1),
    );
    fs.writeFileSync(path.join(script.cwd, 'cluster2.json'), '{ "env": { "VERSION": "2" } }');
    const before = script.workers();
    const { status, stdout, stderr } = cluster2(script.cwd, 'restart');
    assert.deepStrictEqual(
      [status, stdout],
      [0, `restarted: 2 workers of master ${script.pid} ready\n`],
      stderr,
    );
    assert.strictEqual((await held).status, 200);
    const after = script.workers();
    assert.deepStrictEqual(after.filter((pid) => before.includes(pid)), []);
    const { stdout: shown } = cluster2(script.cwd, 'env', String(after[0]), 'VERSION');
    assert.strictEqual(shown, 'VERSION=2\n');
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
    assert.deepStrictEqual(fs.readdirSync(script.pids), []);
  });

  it('changes nothing if the cluster would not start again', async () => {
    const script = await startPlain();
    const before = script.workers();
    fs.writeFileSync(path.join(script.cwd, 'cluster2.json'), '{ "noWorkers": 0, "nonsense": 1 }');
    const { status, stderr } = cluster2(script.cwd, 'restart');
    assert.strictEqual(status, 1);
    assert.match(stderr, /the cluster runs on as it is, .*\n.*option 'nonsense' is unknown/);
    assert.deepStrictEqual(script.workers(), before);
  });

  it('is refused by a cluster of a script, and exits with 3 where none runs', async () => {
    const script = await startServer();
    const { status, stderr } = cluster2(script.cwd, 'restart');
    assert.strictEqual(status, 1);
    assert.match(stderr, /cannot restart while the cluster is run by a script of its own: end it/);
    assert.strictEqual(script.workers().length, 2);
    script.kill();
    await script.ended();
    assert.strictEqual(cluster2(script.cwd, 'restart').status, 3);
  });
});
