'use strict';

// `--give-up-after`: the cluster ends when no worker becomes ready any more. Its parent sees that.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { startPlain } = require('../helpers/cli');

describe('--give-up-after', () => {
  it('ends a cluster with 255 when no worker becomes ready any more', async () => {
    const script = await startPlain({ flags: ['--give-up-after', '3'] });
    fs.writeFileSync(path.join(script.cwd, 'app.js'), 'throw new Error("no database");');
    for (const pid of script.workers()) process.kill(pid, 'SIGKILL');
    assert.deepStrictEqual(await script.ended(), { code: 255, signal: null }, script.errors);
    assert.match(
      script.errors,
      /cluster2: no worker became ready: 3 crashes in a row \(giveUpAfter\), the last: worker \d+ exited with code 1: Error: no database.*\(CLUSTER2_ERR_START_FAILED\)\n$/s,
    );
    assert.deepStrictEqual(fs.readdirSync(script.pids), []);
  });

  it('does not count crashes while a worker is ready', async () => {
    const script = await startPlain({ flags: ['--give-up-after', '1'] });
    process.kill(script.workers()[0], 'SIGKILL');
    await script.ready(3);
    assert.strictEqual(script.workers().length, 2);
  });
});
