'use strict';

// Unix sockets of a worker: its script may remove the file, and an abstract name has none.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { answersOfAll, request } = require('../helpers/client');
const { Script, isAlive } = require('../helpers/cluster');
const { MAJOR, NODE } = require('../helpers/node');
const { endAll, upgrade } = require('../helpers/upgrades');
const { until } = require('../helpers/wait');

const WAYS = {
  'the command line': { cli: ['--mon-port', 'off'] },
  'a Cluster': { env: { API: 'yes' } },
};
const start = (SOCKET, HOW, { cli, env }, workers = 2) =>
  new Script('unix-socket.js', {
    cli: cli && ['--workers', String(workers), ...cli],
    env: { ...env, SOCKET, HOW, WORKERS: String(workers) },
  }).ready(workers);
/** A client for the Node under test: each Node interprets abstract names in its own way. */
const GET = `require('http').get({ socketPath: process.argv[1].replace('@', '\\0') }, (answer) => answer.pipe(process.stdout))`;
const get = (name) => JSON.parse(execFileSync(NODE, ['-e', GET, name], { encoding: 'utf8' }));

for (const [where, settings] of Object.entries(WAYS)) {
  describe(`a unix socket of a script under ${where}`, () => {
    for (const how of ['before', 'exit']) {
      const when = how === 'exit' ? 'at its exit' : 'before it listens';
      it(`stays reachable if the script removes its file ${when}`, async () => {
        const script = await start('app.sock', how, settings);
        const file = path.join(script.cwd, 'app.sock');
        const isServed = () =>
          answersOfAll(script.workers(), async () => JSON.parse((await request(file)).body));
        await isServed();
        const old = script.workers();
        assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
        await script.until(
          'the old workers are gone',
          () => !script.workers().some((pid) => old.includes(pid)),
        );
        await until('its file is there', () => fs.existsSync(file));
        await isServed();
        assert.strictEqual(
          fs.statSync(file).mode & 0o777,
          0o606,
          'with the rights that the script gave it',
        );
        script.kill();
        assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
        assert.ok(!fs.existsSync(file));
      });
    }

    // Long before: the old master makes the file again meanwhile.
    for (const how of ['before', 'long before', 'exit']) {
      const when = how === 'exit' ? 'at its exit' : `${how} it listens`;
      it(`stays reachable over an upgrade if the script removes its file ${when}`, async () => {
        // A second worker could remove the file before the first one has set its rights.
        const script = await start('app.sock', how, settings, 1);
        const file = path.join(script.cwd, 'app.sock');
        const serving = async () => JSON.parse((await request(file)).body).pid;
        const isServed = () => serving().then(() => true, () => false);
        const old = script.workers();
        const fails = { env: { FAILS: 'yes' } };
        await assert.rejects(upgrade(script, fails), { code: 'CLUSTER2_ERR_UPGRADE_FAILED' });
        await until('the old workers serve again', isServed);
        assert.ok(old.includes(await serving()));
        await upgrade(script, { env: { FAILS: '' } });
        await until('the old workers are gone', () => !old.some(isAlive));
        await until('the new workers serve', isServed);
        assert.ok(!old.includes(await serving()));
        assert.strictEqual(fs.statSync(file).mode & 0o777, 0o606);
        await endAll(script);
        assert.ok(!fs.existsSync(file));
      }).timeout(60_000);
    }

    it('is shown with one path if the script names it relative to its directory', async () => {
      const script = await start('./app.sock', '', settings);
      assert.deepStrictEqual((await script.status()).master.listening, [
        path.join(fs.realpathSync(script.cwd), 'app.sock'),
      ]);
    });

    it('may have an abstract name', async () => {
      const name = `@cluster2-test-${process.pid}-${Object.keys(WAYS).indexOf(where)}`;
      const script = await start(name, '', settings);
      const pids = script.workers();
      for (const pid of [get(name), get(name), get(name)].map((answer) => answer.pid))
        assert.ok(pids.includes(pid));
      const status = await script.status();
      // Node 18 turns all names into the empty one.
      assert.deepStrictEqual(status.master.listening, [MAJOR < 20 ? '@' : name]);
      assert.ok(!script.errors.includes('\0'));
      script.kill();
      assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
      assert.throws(() => get(name), /ECONNREFUSED/);
    });
  });
}
