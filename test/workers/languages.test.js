'use strict';

// Scripts that are not CommonJS, flags of Node and NODE_OPTIONS: they work alike in master and
// workers.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { needNodeOf } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const { assertServes } = require('../helpers/assert-serves');

const TSX = require.resolve('tsx/cli');
/** As a path, for Node would look up a name from the directory of the script. */
const IMPORT_TSX = ['--import', pathToFileURL(require.resolve('tsx')).href];
const TYPED = path.join(__dirname, '..', 'fixtures', 'typed.mts');

describe('master and workers run', () => {
  it('an ES module with top-level await, which imports the class and ClusterError', async () => {
    const script = new Script('module.mjs', { port: await freePort() });
    const seen = () =>
      script
        .events({ allProcesses: true })
        .filter(([name]) => name === 'seen')
        .map(([, what]) => what.code);
    await script.until('all three have reported', () => seen().length === 3);
    assert.deepStrictEqual(seen(), Array(3).fill('CLUSTER2_ERR_TEST'));
    await assertServes(script);
  });

  it('TypeScript by --import tsx', async function () {
    needNodeOf(this, 'tsx');
    await assertServes(new Script(TYPED, { port: await freePort(), execArgv: IMPORT_TSX }));
  });

  it('TypeScript by the command tsx', async () => {
    await assertServes(new Script(TSX, { port: await freePort(), args: [TYPED] }));
  });

  it('TypeScript by tsx in NODE_OPTIONS', async function () {
    needNodeOf(this, 'tsx');
    await assertServes(
      new Script(TYPED, { port: await freePort(), env: { NODE_OPTIONS: IMPORT_TSX.join(' ') } }),
    );
  });
});

describe('options of Node', () => {
  it('in NODE_OPTIONS reach master and workers unchanged', async () => {
    const options = '--stack-trace-limit=7  --no-warnings';
    const script = new Script('module.mjs', {
      port: await freePort(),
      env: { NODE_OPTIONS: options },
    });
    const seen = () =>
      script
        .events({ allProcesses: true })
        .filter(([name]) => name === 'seen')
        .map(([, what]) => what);
    await script.until('all three have reported', () => seen().length === 3);
    for (const what of seen()) assert.deepStrictEqual([what.options, what.limit], [options, 7]);
    for (const pid of script.workers()) {
      assert.ok(
        fs
          .readFileSync(`/proc/${pid}/environ`, 'utf8')
          .split('\0')
          .includes(`NODE_OPTIONS=${options}`),
      );
    }
  });

  for (const [flags, place] of [
    [['--enable-source-maps'], /original\.ts:42:\d+/],
    [[], /mapped\.js:4:\d+/],
  ]) {
    it(`as '${flags}' determine the position of an error: ${place.source}`, async () => {
      const script = await new Script('mapped.js', {
        port: await freePort(),
        execArgv: flags,
      }).ready();
      await assert.rejects(request(script.port));
      await script.until('the worker has died of it', () => script.emitted('died').length === 1);
      assert.match(script.errors, /Error: not caught/);
      assert.match(script.errors, place);
      await script.ready(3);
    });
  }
});
