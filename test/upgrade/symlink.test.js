'use strict';

// A symlink names the present release: `current -> releases/2`. A master that takes over runs the
// release that the symlink names by then, with its own cluster2-rs.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { cluster2 } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const installed = require('../helpers/installed');
const { NODE } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const { masterOf, upgrade } = require('../helpers/upgrades');
const { until } = require('../helpers/wait');

const { PLATFORM, ROOT } = installed;

/** Answers with the name of its release. */
const SERVER = `
const at = require('path').basename(__dirname);
const server = require('http').createServer((_, response) => response.end(at));
`;
const PLAIN = `${SERVER} server.listen(process.env.PORT, '127.0.0.1');`;
const WITH_CLUSTER = `${SERVER}
const Cluster = require('cluster2-rs');
const { PORT: port, PIDS: pids } = process.env;
new Cluster({ port, pids, noWorkers: 2, monPort: false, minReadyTime: 50 })
  .listen((callback) => callback(server));
`;

/** The releases of an app, and the symlink to the present one. */
class Releases {
  folder = installed.emptyFolder();
  current = path.join(this.folder, 'current');

  constructor() {
    const first = this.at(1);
    const modules = path.join(first, 'node_modules');
    installed.placeMain(path.join(modules, 'cluster2-rs'));
    const program = fs.readFileSync(path.join(ROOT, `cluster2.${PLATFORM}`));
    installed.placePlatform(path.join(modules, `cluster2-rs-${PLATFORM}`), { program });
    fs.mkdirSync(path.join(modules, '.bin'));
    fs.symlinkSync('../cluster2-rs/bin/cluster2', path.join(modules, '.bin', 'cluster2'));
    fs.writeFileSync(path.join(first, 'server.js'), PLAIN);
    fs.writeFileSync(path.join(first, 'cluster.js'), WITH_CLUSTER);
    fs.symlinkSync('releases/1', this.current);
  }

  at(number) {
    return path.join(this.folder, 'releases', `${number}`);
  }

  /** Deploys a release, and removes the one before. */
  deploy(number) {
    const [before, after] = [this.at(number - 1), this.at(number)];
    execFileSync('cp', ['-a', before, after]);
    fs.rmSync(this.current);
    fs.symlinkSync(`releases/${number}`, this.current);
    fs.rmSync(before, { recursive: true });
  }
}

/** Commands of a shell that start the cluster, where the symlink is `$current`. */
const STARTED = {
  'in its directory': 'cd -L "$current" && exec node_modules/.bin/cluster2 start server.js',
  'in its directory, by npx':
    'cd -L "$current" && PATH="$(pwd -P)/node_modules/.bin:$PATH" && exec cluster2 start server.js',
  'as by a service manager, which sets no PWD':
    'cd -P "$current" && exec env -u PWD "$current/node_modules/.bin/cluster2" start server.js',
};
const SCRIPT = 'cd -P "$current" && exec env -u PWD "$NODE" "$current/cluster.js"';

describe('an upgrade after a deploy by a symlink', function () {
  this.timeout(60_000);
  afterEach(installed.removeFolders);

  async function start(command) {
    const releases = new Releases();
    const { current, folder } = releases;
    const pids = path.join(folder, 'pids');
    const port = await freePort();
    const script = new Script('unrelated-process.js', {
      port,
      cwd: folder,
      env: {
        current, NODE, PIDS: pids,
        CLUSTER2_PIDS: pids, CLUSTER2_MIN_READY_TIME: '50', CLUSTER2_MON_PORT: 'off',
        CLUSTER2_WORKERS: '2',
      },
      through: ['sh', '-c', command],
    });
    const answer = async () => (await request(port, '/').catch(() => ({}))).body;
    await script.until('the first release answers', async () => (await answer()) === '1');
    return { releases, script, answer };
  }

  for (const [how, command] of Object.entries(STARTED)) {
    it(`runs the new release if it was started ${how}`, async () => {
      const { releases, script, answer } = await start(command);
      for (const number of [2, 3]) {
        releases.deploy(number);
        const master = await upgrade(script);
        assert.strictEqual(await answer(), `${number}`);
        const program = fs.readlinkSync(`/proc/${master}/exe`);
        assert.ok(program.startsWith(releases.at(number)), program);
        const workers = (await script.status()).workers.map(({ pid }) => pid);
        const preload = fs.readFileSync(`/proc/${workers[0]}/cmdline`, 'utf8');
        assert.ok(preload.includes(path.join(releases.at(number), 'node_modules')), preload);
      }
      releases.deploy(4);
      const { status, stderr } = cluster2(releases.folder, 'restart');
      assert.strictEqual(status, 0, stderr);
      await until('the restarted one answers', async () => (await answer()) === '4');
      const program = fs.readlinkSync(`/proc/${masterOf(script)}/exe`);
      assert.ok(program.startsWith(releases.at(4)), program);
      script.kill();
      assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
    });
  }

  it('runs the new release of a script that was named through it', async () => {
    const { releases, script, answer } = await start(SCRIPT);
    for (const number of [2, 3]) {
      releases.deploy(number);
      const master = await upgrade(script);
      assert.strictEqual(await answer(), `${number}`);
      assert.strictEqual(fs.readlinkSync(`/proc/${master}/cwd`), releases.at(number));
    }
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
  });

  it('says so where nothing led through the symlink, and the old release is gone', async () => {
    const command = 'cd -P "$current" && exec "$NODE" cluster.js';
    const { releases, script, answer } = await start(command);
    const old = releases.at(1);
    releases.deploy(2);
    const reason = `there is no directory ${old} any more to start it in`;
    await assert.rejects(upgrade(script), ({ code, message }) =>
      code === 'CLUSTER2_ERR_UPGRADE_FAILED' && message.includes(reason));
    assert.strictEqual(await answer(), '1');
    script.kill();
    await script.ended();
  });
});
