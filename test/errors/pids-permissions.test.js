'use strict';

// A `pids` directory that this user may not read or write.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { Script, canBecomeAnother } = require('../helpers/cluster');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { attempt } = require('../helpers/load');
const { freePort } = require('../helpers/ports');

const NOBODY = 65534;
const START = { env: { CASE: 'server' } };

describe('a pids directory without permission (needs root, to become another user)', () => {
  let home;
  before(function () {
    if (!canBecomeAnother()) this.skip();
  });
  beforeEach(() => {
    home = emptyFolder();
    fs.chmodSync(home, 0o755);
  });
  afterEach(removeFolders);

  const start = async () =>
    new Script('listen-cases.js', { ...START, port: await freePort(), cwd: home, uid: NOBODY });

  it('is named if it cannot be made', async () => {
    const script = await start();
    assert.deepStrictEqual(await script.ended(), { code: 255, signal: null });
    const line = `cluster2: cannot write ${script.pids}: Permission denied (os error 13) (option 'pids')`;
    assert.strictEqual(script.untimed, `${line} (CLUSTER2_ERR_PIDS_UNWRITABLE)\n`);
    assert.deepStrictEqual(script.emitted('forked'), []);
  });

  it('is named if it cannot be written', async () => {
    fs.mkdirSync(path.join(home, 'pids'), { mode: 0o755 });
    const script = await start();
    assert.deepStrictEqual(await script.ended(), { code: 255, signal: null });
    const line = `cluster2: cannot write ${script.pids}/master.lock: Permission denied (os error 13) (option 'pids')`;
    assert.strictEqual(script.untimed, `${line} (CLUSTER2_ERR_PIDS_UNWRITABLE)\n`);
  });

  it('is named if it cannot be read; no call says that no cluster runs', async () => {
    const script = await new Script('http.js', { port: await freePort() }).ready();
    const calls = [['stop'], ['shutdown'], ['status'], ['reload'], ['scale', 1]];
    for (const [mode, what] of [
      [0o700, script.pids],
      [0o755, path.join(script.pids, 'master.lock')],
    ]) {
      fs.chmodSync(script.cwd, mode);
      for (const [method, ...args] of calls) {
        const options = { pids: script.pids };
        const { error } = await ask(home, method, args, { uid: NOBODY, options });
        assert.strictEqual(error?.code, 'CLUSTER2_ERR_PIDS_UNREADABLE', method);
        assert.ok(
          error.message.startsWith(`cannot look into ${what}: Permission denied`),
          error.message,
        );
      }
    }
    assert.deepStrictEqual(script.workers().length, 2);
  });

  it('of another user’s cluster cannot be used to stop that cluster', async () => {
    const script = await new Script('http.js', { port: await freePort() }).ready();
    fs.chmodSync(script.cwd, 0o755);
    for (const [method, ...args] of [['stop'], ['shutdown'], ['scale', 1], ['status']]) {
      const { error } = await ask(script.cwd, method, args, { uid: NOBODY });
      assert.strictEqual(error?.code, 'CLUSTER2_ERR_PIDS_UNREADABLE', method);
    }
    assert.strictEqual((await attempt({ port: script.port })).outcome, 'ok');
    assert.strictEqual(script.workers().length, 2);
  });
});
