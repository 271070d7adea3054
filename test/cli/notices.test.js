'use strict';

// What `cluster2 start` says where something that people expect does not happen.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { cluster2, startPlain } = require('../helpers/cli');

const MESSAGES =
  /warning: worker \d+ sends messages to its master, where no script takes them: (.*)/g;

describe('the command line says', () => {
  it('once that no script takes workers’ messages, and nothing of the `ready` of PM2', async () => {
    const script = await startPlain({ file: 'sends.js' });
    const said = () => [...script.errors.matchAll(MESSAGES)].map(([, message]) => message);
    await script.until('it is told', () => said().length > 0);
    assert.deepStrictEqual(said(), ['{"topic":"log4js:message"}']);
  });

  it('at a reload that the configuration file has changed, whose options count from the next start on', async () => {
    const script = await startPlain();
    const noted = () =>
      script.errors.match(/warning: cluster2\.json has changed since the start/g)?.length ?? 0;
    cluster2(script.cwd, 'reload');
    assert.strictEqual(noted(), 0);
    fs.writeFileSync(path.join(script.cwd, 'cluster2.json'), '{ "noWorkers": 3 }');
    cluster2(script.cwd, 'reload');
    await script.until('it is told', () => noted() === 1);
    assert.strictEqual(script.workers().length, 2);
  });
});
