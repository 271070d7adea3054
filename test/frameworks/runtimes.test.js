'use strict';

// Bun and Deno, where a cluster is one process: the app, the health check and a graceful end.

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { INSTALL, install } = require('../helpers/own-packages');
const { freePort } = require('../helpers/ports');

const RUNTIMES = {
  Bun: { program: '@oven/bun-linux-x64/bin/bun', flags: [] },
  Deno: { program: '@deno/linux-x64-glibc/deno', flags: ['run', '-A', '--unstable-detect-cjs'] },
};

describe('a cluster on', function () {
  let home;

  before(function () {
    this.timeout(INSTALL);
    home = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-runtimes-'));
    install(path.join(__dirname, 'runtimes'), home);
  });
  after(() => fs.rmSync(home, { recursive: true, force: true }));

  for (const [name, { program, flags }] of Object.entries(RUNTIMES)) {
    const start = async () => {
      const node = path.join(home, 'node_modules', program);
      fs.chmodSync(node, 0o755);
      const port = await freePort();
      const options = { ecv: { control: true } };
      const env = { DENO_NO_UPDATE_CHECK: '1' };
      const script = new Script('fallback.js', { port, node, execArgv: flags, options, env });
      await script.until('it listens', () => script.output.includes('listens false false'));
      return script;
    };

    it(`${name} is one process, with the health check and its switch`, async () => {
      const script = await start();
      const { port } = script;
      await script.until('it says so', () => script.emitted('warning').length > 0);
      const [[{ message }]] = script.emitted('warning');
      const said = new RegExp(`^this is one process, without .*: cluster2-rs has no .* on ${name} `);
      assert.match(message, said);
      assert.strictEqual((await request(port)).body, 'hello');
      const [check, post] = [() => request(port, '/ecv'), { method: 'POST' }];
      assert.match((await check()).body, /^status=AVAILABLE&ServeTraffic=true&ip=127\.0\.0\.1&/);
      assert.strictEqual((await request(port, '/ecv/disable', post)).status, 204);
      assert.strictEqual((await check()).status, 400);
      assert.strictEqual((await request(port, '/ecv/enable', post)).status, 204);
      const { body } = await request(port, '/call?scale=[2]');
      assert.strictEqual(JSON.parse(body).scale.error.code, 'CLUSTER2_ERR_PLATFORM');
    });

    it(`${name} answers its open requests on SIGTERM, and exits with 0`, async () => {
      const script = await start();
      let isThere = false;
      const asked = request(script.port, '/slow?1000').finally(() => (isThere = true));
      await script.until('the request is under way', () => script.output.includes('slow begins'));
      script.kill();
      await script.until('it is refused', () => request(script.port).then(() => false, () => true));
      assert.strictEqual(isThere, false);
      assert.strictEqual((await asked).body, 'hello');
      assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    });
  }
});
