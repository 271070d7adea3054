'use strict';

// A reload to broken code fails with the reason and the state of each slot, and the old workers go
// on.

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { cluster2, startPlain } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { CLI, Script } = require('../helpers/cluster');
const {
  answerOf, callInMaster, change, newVersionOf, startServer,
} = require('../helpers/hammered');
const { freePort } = require('../helpers/ports');

const FAILED = 'CLUSTER2_ERR_RELOAD_FAILED';
const answers = (port) => request(port, '/now/a/0').then(() => true, () => false);

describe('a reload to broken code', () => {
  const BREAKS = {
    'throws after it listens': [
      "setTimeout(() => { throw new Error('connection lost'); }, 300)",
      /exited with code 1: Error: connection lost/,
    ],
    'ends after it listens': ['setTimeout(() => process.exit(4), 300)', /exited with code 4/],
    'hangs after it listens': ['setTimeout(() => { for (;;); }, 300)', /was stuck for \d+ ms/],
    'leaves after it listens': [
      "setTimeout(() => process.kill(process.pid, 'SIGTERM'), 300)",
      /worker \d+ left/,
    ],
  };

  for (const [name, [breaks, reason]] of Object.entries(BREAKS)) {
    it(`that ${name}: the canary ends, and no worker drains`, async () => {
      const options = { minReadyTime: 1000, maxHeartbeatDelay: 3000 };
      const script = await startServer({ options });
      const old = script.workers().sort();
      change(script, `exports.begin = (go) => { go(); ${breaks}; };`);
      const { error } = await ask(script.cwd, 'reload');
      assert.strictEqual(error?.code, FAILED);
      assert.match(error.message, reason);
      assert.match(error.message, /; all slots run the old code$/);
      await script.until('the new one is gone', () => script.workers().length === 2);
      assert.deepStrictEqual(script.workers().sort(), old);
      assert.deepStrictEqual(script.emitted('reload'), []);
    });
  }

  it('that breaks in a later worker: the message says which slots run which code', async () => {
    const script = await startServer({ options: { noWorkers: 3, minReadyTime: 500 } });
    change(script, `exports.version = 'second'; exports.begin = (go) => {
      const { id } = require('cluster').worker;
      if (id === 4) go(); else setTimeout(() => process.exit(5), 300);
    };`);
    const { error } = await ask(script.cwd, 'reload');
    assert.match(
      error.message,
      /exited with code 5; slot 0 runs the new code, slots 1, 2 run the old$/,
    );
    change(script, "exports.version = 'third';");
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 3 });
  });

  it('that ends when all workers are replaced, but within minReadyTime', async () => {
    const script = await startServer({ options: { minReadyTime: 1000 } });
    change(
      script,
      `exports.begin = (go) => { go(); if (require('cluster').worker.id === 4) setTimeout(() => process.exit(5), 300); };`,
    );
    const { error } = await ask(script.cwd, 'reload');
    const what =
      /exited with code 5; slot \d runs the new code, slot \d has no worker until one of the new code is ready$/;
    assert.match(error.message, what);
  });
});

describe('a reload to code that listens on other addresses', () => {
  it('fails if it would leave an address unserved, unless allowed', async () => {
    const extra = await freePort();
    const script = await startServer();
    change(
      script,
      `exports.begin = (go) => require('http').createServer((_, r) => r.end('x')).listen(${extra}, '127.0.0.1', go);`,
    );
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
    const both = [`0.0.0.0:${script.port}`, `127.0.0.1:${extra}`];
    assert.deepStrictEqual((await script.status()).master.listening, both);
    change(script, "exports.version = 'third';");
    const { error } = await ask(script.cwd, 'reload');
    assert.strictEqual(error?.code, FAILED);
    assert.match(
      error.message,
      new RegExp(
        `does not listen on 127\\.0\\.0\\.1:${extra}, .*reload\\(\\{ addresses: 'may change' \\}\\)`,
      ),
    );
    assert.deepStrictEqual((await script.status()).master.listening, both);
    assert.strictEqual(await answers(extra), true);
    await callInMaster(script, 'reload', { addresses: 'may change' });
    assert.deepStrictEqual(await answerOf(script, 'reload'), { ok: { replaced: 2 } });
    assert.strictEqual(await newVersionOf(script), 'third');
    assert.deepStrictEqual((await script.status()).master.listening, both.slice(0, 1));
  });

  it('fails with the command line too, unless --allow-address-change is given', async () => {
    const elsewhere = await freePort();
    const script = await startPlain();
    const code = `exports.begin = () => require('./server')(${elsewhere});`;
    fs.writeFileSync(
      path.join(script.cwd, 'server.js'),
      "module.exports = (port) => require('http').createServer((_, r) => r.end()).listen(port, '127.0.0.1');",
    );
    change(script, code);
    const { status, stderr } = cluster2(script.cwd, 'reload');
    assert.strictEqual(status, 1);
    assert.match(
      stderr,
      new RegExp(
        `does not listen on 127\\.0\\.0\\.1:${script.port}, .*--allow-address-change.*all slots run the old code`,
      ),
    );
    assert.deepStrictEqual(
      [await answers(script.port), (await script.status()).master.listening],
      [true, [`127.0.0.1:${script.port}`]],
    );
    const allowed = cluster2(script.cwd, 'reload', '--allow-address-change');
    assert.deepStrictEqual([allowed.status, allowed.stdout], [0, 'all 2 workers are new\n']);
    assert.deepStrictEqual((await script.status()).master.listening, [`127.0.0.1:${elsewhere}`]);
    await script.until('the old address is given up', async () => !(await answers(script.port)));
  });

  it('accepts no other arguments', async () => {
    const script = await startServer();
    await callInMaster(script, 'reload', { addresses: 'may change' });
    await answerOf(script, 'reload');
    const Cluster = require('../..');
    const cluster = new Cluster({ pids: path.join(script.cwd, 'pids') });
    assert.throws(() => cluster.reload({ addresses: 'any' }), {
      code: 'CLUSTER2_ERR_ARGUMENT_INVALID',
      name: 'TypeError',
    });
  });
});

describe('the addresses in status()', () => {
  it('are empty while no worker is ready', async () => {
    const script = await startServer({ options: { noWorkers: 1 } });
    change(script, 'exports.begin = () => {};');
    process.kill(script.workers()[0], 'SIGKILL');
    await script.until('another one starts', () => script.emitted('forked').length === 2);
    assert.deepStrictEqual((await script.status()).master.listening, []);
  });
});

describe('a release that a symlink names', () => {
  it('is run after a reload and each restart, even if the old release was removed', async () => {
    const home = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));
    const release = (version) => {
      const folder = path.join(home, 'releases', version);
      fs.mkdirSync(folder, { recursive: true });
      const text = `const at = process.cwd(); require('http').createServer((_, r) => r.end('${version} ' + at)).listen(process.env.PORT, '127.0.0.1');`;
      fs.writeFileSync(path.join(folder, 'server.js'), text);
      fs.rmSync(path.join(home, 'current'), { force: true });
      fs.symlinkSync(folder, path.join(home, 'current'));
      return folder;
    };
    const first = release('1');
    const port = await freePort();
    const current = path.join(home, 'current');
    const flags = ['start', 'server.js', '--workers', '1', '--mon-port', 'off'];
    // As from a shell in that directory.
    const script = new Script('unrelated-process.js', {
      port,
      cwd: home,
      through: ['sh', '-c', `cd -L '${current}' && exec '${CLI}' ${flags.join(' ')}`],
    });
    await script.until('the first release answers', () => answers(port));
    const second = fs.realpathSync(release('2'));
    // The directory `pids` is below the symlink too.
    await script.until(
      'it is found in the second release',
      () => cluster2(current, 'status').status === 0,
    );
    assert.strictEqual(cluster2(current, 'reload').status, 0);
    assert.strictEqual((await request(port, '/')).body, `2 ${second}`);
    fs.rmSync(first, { recursive: true });
    const [worker] = script.workers();
    process.kill(worker, 'SIGKILL');
    await script.until('another one answers', () =>
      answers(port).then((well) => well && script.workers()[0] !== worker),
    );
    assert.strictEqual((await request(port, '/')).body, `2 ${second}`);
    script.kill();
    await script.ended();
    fs.rmSync(home, { recursive: true });
  });
});
