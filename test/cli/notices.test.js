'use strict';

// Notices of `cluster2 start` about effects that users may expect and do not get.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { cluster2, startPlain } = require('../helpers/cli');

const MESSAGES =
  /warning: worker \d+ sends messages to its master, where no script takes them: (.*)/g;

describe('cluster2 start prints a notice', () => {
  it('once if a worker sends a message, except `ready`, for no script gets it', async () => {
    const script = await startPlain({ file: 'sends-messages.js' });
    const said = () => [...script.errors.matchAll(MESSAGES)].map(([, message]) => message);
    await script.until('it is reported', () => said().length > 0);
    assert.deepStrictEqual(said(), ['{"topic":"log4js:message"}']);
  });

  it('in a reload if the configuration file has changed, for that needs a restart', async () => {
    const script = await startPlain();
    const noted = () =>
      script.errors.match(/warning: cluster2\.json has changed since the start/g)?.length ?? 0;
    cluster2(script.cwd, 'reload');
    assert.strictEqual(noted(), 0);
    fs.writeFileSync(path.join(script.cwd, 'cluster2.json'), '{ "noWorkers": 3 }');
    cluster2(script.cwd, 'reload');
    await script.until('it is reported', () => noted() === 1);
    await script.until('there are two workers', () => script.workers().length === 2);
  });
});
