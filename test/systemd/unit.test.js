'use strict';

// `cluster2 unit`: units for systemd, which systemd accepts, and what they start.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { cluster2 } = require('../helpers/cli');
const { CLI } = require('../helpers/cluster');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { need } = require('../helpers/tools');

describe('cluster2 unit', () => {
  let analyze, folder;
  before(function () {
    [analyze] = need(this, 'systemd-analyze');
  });
  beforeEach(() => {
    folder = emptyFolder();
    fs.writeFileSync(path.join(folder, 'server.js'), '');
  });
  afterEach(removeFolders);

  /** Writes the unit that these arguments give. Returns its text. */
  function write(name, ...args) {
    const { status, stdout, stderr } = cluster2(folder, ...args);
    assert.deepStrictEqual([status, stderr], [0, '']);
    fs.writeFileSync(path.join(folder, name), stdout);
    return stdout;
  }
  const verify = (...names) => {
    const { status, stderr } = spawnSync(analyze, ['verify', '--man=no', ...names], {
      cwd: folder,
      encoding: 'utf8',
    });
    assert.deepStrictEqual([status, stderr], [0, '']);
  };

  it('names Node itself, not a script in PATH that only calls it, but a symlink as it is', () => {
    const bin = path.join(folder, 'bin');
    fs.mkdirSync(bin);
    const named = () =>
      spawnSync(CLI, ['unit', 'server.js'], {
        cwd: folder, encoding: 'utf8', env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
      }).stdout.match(/--node=(\S+)/)[1];
    const node = path.join(bin, 'node');
    fs.writeFileSync(node, `#!/bin/sh\nexec '${process.execPath}' "$@"\n`, { mode: 0o755 });
    assert.strictEqual(named(), process.execPath);
    fs.rmSync(node);
    fs.symlinkSync(process.execPath, node);
    assert.strictEqual(named(), node);
  });

  it('prints a service with this directory, user, flags and times', () => {
    const text = write(
      'api.service', 'unit', 'server.js', '--unit', 'api', '--workers', '4',
      '--shutdown-timeout', '90s', '--shutdown-delay', '5s', '--', '--unit', 'with space', '100%',
    );
    verify('api.service');
    assert.match(text, new RegExp(`^User=${os.userInfo().username}$`, 'm'));
    assert.match(text, new RegExp(`^WorkingDirectory=${folder}$`, 'm'));
    assert.match(text, /^TimeoutStopSec=105$/m);
    assert.match(text, /^Type=notify$/m);
    assert.match(text, /^WatchdogSec=30$/m);
    assert.match(text, /^KillMode=mixed$/m);
    const [, started] = text.match(/^ExecStart=(.*)$/m);
    assert.match(
      started,
      /^\/\S+\/bin\/cluster2 start --node=\/\S+ server\.js --workers 4 --shutdown-timeout 90s --shutdown-delay 5s -- --unit "with space" 100%%$/,
    );
    // The command line that systemd would run is one that `check` accepts.
    const [program, , ...args] = started.replace('"with space"', 'x').split(' ');
    const { status, stderr } = spawnSync(program, ['check', ...args], {
      cwd: folder,
      encoding: 'utf8',
    });
    assert.strictEqual(status, 0, stderr);
  });

  it('prints a socket unit for the ports, and a service that uses it', () => {
    const socket = write(
      'api.socket', 'unit', '--socket', '--unit', 'api', '--port', '8080,./a.sock',
    );
    assert.match(socket, new RegExp(`^ListenStream=8080\nListenStream=${folder}/a\\.sock$`, 'm'));
    assert.match(socket, /^FileDescriptorName=api$/m);
    const service = write(
      'api.service', 'unit', 'server.js', '--unit', 'api', '--port', 'systemd:api',
    );
    assert.match(service, /^Requires=api\.socket\nAfter=api\.socket$/m);
    verify('api.service', 'api.socket');
  });

  it('prints one for the parent of several apps, as for one of them', () => {
    const api = { exec: 'server.js', noWorkers: 1, shutdownTimeout: '90s' };
    const jobs = { exec: 'jobs.js', listen: false, startTimeout: '2m' };
    const file = (apps) =>
      fs.writeFileSync(path.join(folder, 'cluster2.json'), JSON.stringify({ apps }));
    file({ api, jobs });
    const text = write('shop.service', 'unit', '--unit', 'shop');
    verify('shop.service');
    assert.match(text, /^Description=api, jobs by cluster2$/m);
    assert.match(text, /^ExecStart=\/\S+\/bin\/cluster2 start --node=\/\S+$/m);
    // The longest of all apps, and a margin.
    assert.match(text, /^TimeoutStartSec=130$/m);
    assert.match(text, /^TimeoutStopSec=100$/m);
    const one = write('jobs.service', 'unit', 'jobs', '--unit', 'jobs');
    verify('jobs.service');
    assert.match(one, /^Description=jobs\.js by cluster2$/m);
    assert.match(one, /^ExecStart=\/\S+\/bin\/cluster2 start --node=\/\S+ jobs$/m);
    assert.match(cluster2(folder, 'unit', '--socket').stderr, /^cluster2: which app\? A socket unit/);
    file({ api: { ...api, port: 'systemd:api' }, jobs });
    assert.match(cluster2(folder, 'unit').stderr, /app api takes a socket of systemd, .*unit api/);
    file({ api, bad: {} });
    assert.match(cluster2(folder, 'unit').stderr, /which script of app bad\? /);
  });

  it('keeps the options that come from variables, but no token', () => {
    process.env.CLUSTER2_WORKERS = '3';
    process.env.CLUSTER2_ECV_TOKEN = 'secret';
    try {
      const text = write('api.service', 'unit', 'server.js', '--unit', 'api');
      assert.match(text, /^Environment=CLUSTER2_WORKERS=3$/m);
      assert.doesNotMatch(text, /secret/);
      verify('api.service');
    } finally {
      delete process.env.CLUSTER2_WORKERS;
      delete process.env.CLUSTER2_ECV_TOKEN;
    }
  });

  it('needs a script, a name that systemd takes, and ports for a socket', () => {
    assert.match(cluster2(folder, 'unit').stderr, /which script\? Name it after `unit`/);
    assert.match(cluster2(folder, 'unit', 'server.js', '--unit', 'a b').stderr, /--unit must be/);
    for (const [name, unit] of [['my app', 'my-app'], ['.app', 'app'], ['店', 'app']]) {
      const cwd = path.join(folder, name);
      fs.mkdirSync(cwd);
      const { status, stdout, stderr } = cluster2(cwd, 'unit', 'server.js');
      assert.strictEqual(status, 0, stderr);
      assert.ok(stdout.startsWith(`# /etc/systemd/system/${unit}.service\n`), stdout);
      assert.ok(stdout.includes(`\nWorkingDirectory=${cwd}\n`), stdout);
    }
    assert.match(cluster2(folder, 'unit', '--socket').stderr, /which ports does systemd open\?/);
  });
});
