'use strict';

// Invalid arguments of methods are rejected, with a message that names them, before anything
// happens.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const Cluster = require('../..');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { NODE } = require('../helpers/node');

const circular = {};
circular.self = circular;

describe('arguments of methods', () => {
  const refused = (call, words) =>
    assert.rejects(async () => call(new Cluster()), {
      name: 'TypeError',
      code: 'CLUSTER2_ERR_ARGUMENT_INVALID',
      message: words,
    });

  it('scale() takes a whole number from 1', async () => {
    for (const wrong of [undefined, null, 0, -1, 1.5, NaN, Infinity, '2', {}, 5n])
      await refused((c) => c.scale(wrong), /scale/);
  });

  it('send() takes a pid', async () => {
    for (const wrong of [undefined, null, 0, -1, 1.5, NaN, '2', {}])
      await refused((c) => c.send(wrong, 'hello'), /send/);
  });

  it('send() and broadcast() take values that JSON can represent', async () => {
    for (const wrong of [() => {}, Symbol('s'), 5n, { deep: [5n] }, circular]) {
      await refused((c) => c.send(process.pid, wrong), /message/);
      await refused((c) => c.broadcast(wrong), /message/);
    }
  });
});

describe('requiring the module and making a Cluster', () => {
  afterEach(removeFolders);

  it('adds no handlers, timers, threads or files', () => {
    const script = `
      const count = () => [process.eventNames().length, require('fs').readdirSync('/proc/self/task').length];
      const before = count();
      const Cluster = require(${JSON.stringify(require.resolve('../..'))});
      new Cluster({ port: 3000, noWorkers: 2 });
      console.log(JSON.stringify([before, count(), process.getActiveResourcesInfo(), require('fs').readdirSync('.')]));`;
    const directory = emptyFolder();
    const [before, after, resources, files] = JSON.parse(
      execFileSync(NODE, ['-e', script], { cwd: directory }),
    );
    assert.deepStrictEqual(after, before);
    assert.ok(
      resources.every((resource) => resource === 'PipeWrap' || resource === 'TTYWrap'),
      String(resources),
    );
    assert.deepStrictEqual(files, []);
  });
});
