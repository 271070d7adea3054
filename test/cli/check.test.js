'use strict';

// `cluster2 check` finds the errors of a start without a start. `cluster2 env` shows variables.

const assert = require('node:assert');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { cluster2, startPlain } = require('../helpers/cli');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { freePort } = require('../helpers/ports');

describe('cluster2 check', () => {
  let folder;
  beforeEach(() => (folder = emptyFolder()));
  afterEach(removeFolders);
  const write = (name, text) => fs.writeFileSync(path.join(folder, name), text);

  it('lists what it has checked, starts nothing and leaves no files', async () => {
    write('server.js', 'throw new Error("run");');
    const port = await freePort();
    const { status, stdout, stderr } = cluster2(
      folder, 'check', 'server.js', '--port', String(port), '--mon-port', 'off',
    );
    assert.deepStrictEqual([status, stderr], [0, '']);
    assert.match(stdout, /^options {2}valid$/m);
    assert.match(stdout, new RegExp(`^script {3}${folder}/server\\.js, by Node v\\d+`, 'm'));
    assert.match(stdout, new RegExp(`^pids {5}${folder}/pids can be made$`, 'm'));
    assert.match(stdout, new RegExp(`^ports {4}${port} free$`, 'm'));
    assert.match(stdout, /^monitor {2}off$/m);
    assert.deepStrictEqual(fs.readdirSync(folder), ['server.js']);
  });

  it('finds a wrong option, a missing script, a syntax error, a busy port', async () => {
    assert.strictEqual(cluster2(folder, 'check', 'x.js', '--workers', '0').status, 2);
    assert.match(cluster2(folder, 'check', 'x.js').stderr, /there is no script .*x\.js/);
    write('server.js', 'const a = ;');
    const port = await freePort();
    const busy = net.createServer().listen(port, '127.0.0.1');
    await once(busy, 'listening');
    try {
      const flags = ['--port', String(port), '--host', '127.0.0.1', '--mon-port', 'off'];
      const { status, stderr } = cluster2(folder, 'check', 'server.js', ...flags);
      assert.strictEqual(status, 1);
      assert.match(stderr, /cluster2: script: .*server\.js:1[^]*SyntaxError/);
      assert.match(stderr, /\ncluster2: ports: address .* is already in use/);
    } finally {
      busy.close();
    }
  });

  it('does not try the ports of the cluster that runs here', async () => {
    const script = await startPlain();
    const { status, stdout } = cluster2(
      script.cwd, 'check', path.join(__dirname, '../fixtures/plain.js'),
      '--port', String(script.port),
    );
    assert.strictEqual(status, 0);
    assert.match(stdout, new RegExp(`^ports {4}not tried: master ${script.pid} has them$`, 'm'));
    assert.strictEqual(script.workers().length, 2);
  });
});

describe('cluster2 env', () => {
  it('shows the names of a worker’s variables, and values on demand', async () => {
    const script = await startPlain({ env: { SECRET: 'of mine' } });
    const [pid] = script.workers();
    const env = (...args) => cluster2(script.cwd, 'env', ...args);
    const names = env(String(pid)).stdout.split('\n');
    assert.ok(['CLUSTER2_SLOT', 'PORT', 'SECRET'].every((name) => names.includes(name)));
    assert.doesNotMatch(names.join('\n'), /of mine|CLUSTER2_WORKER|NODE_CHANNEL_FD/);
    assert.strictEqual(
      env(String(pid), 'SECRET', 'PORT').stdout,
      `SECRET=of mine\nPORT=${script.port}\n`,
    );
    assert.match(env(String(pid), '--values').stdout, /^SECRET=of mine$/m);
    const missing = env(String(pid), 'NONE');
    assert.deepStrictEqual(
      [missing.status, missing.stderr],
      [1, `cluster2: worker ${pid} was started without NONE\n`],
    );
    assert.match(env(String(process.pid)).stderr, /is not a worker of this cluster/);
  });
});
