'use strict';

// An address that cannot be used is reported before any worker is started: with exit code 255, or
// with the event 'error'.

const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { once } = require('node:events');
const { Script, canBecomeAnother } = require('../helpers/cluster');
const { attempt } = require('../helpers/load');
const { freePort } = require('../helpers/ports');

const NOBODY = 65534;

const run = (port, { listener = false, ...settings } = {}) =>
  new Script('listen-cases.js', {
    port,
    env: { CASE: 'server', LISTENER: listener ? '1' : '' },
    ...settings,
  });

/** Checks that a start fails: it prints exactly this line, and leaves no worker and no file. */
async function fails(script, line) {
  assert.deepStrictEqual(await script.ended(), { code: 255, signal: null });
  assert.strictEqual(script.untimed, `${line}\n`);
  assert.deepStrictEqual(script.emitted('forked'), []);
  const left = fs.existsSync(script.pids) ? fs.readdirSync(script.pids) : [];
  assert.deepStrictEqual(left, [], 'files are left');
}

async function fails255ButEmits(script, code) {
  assert.deepStrictEqual(
    await script.ended(),
    { code: 0, signal: null },
    'ends because it has nothing to do',
  );
  assert.deepStrictEqual(
    script.emitted('error').map(([error]) => error.code),
    [code],
  );
  assert.deepStrictEqual(script.emitted('forked'), []);
  assert.strictEqual(script.errors, '');
  return script.emitted('error')[0][0].message;
}

describe('a busy port', () => {
  let busy, port;
  beforeEach(async () => {
    busy = net.createServer().listen(0, '0.0.0.0');
    await once(busy, 'listening');
    port = busy.address().port;
  });
  afterEach((done) => void busy.close(done));

  it('exits with 255 and prints one line with address and port', async () => {
    await fails(
      run(port),
      `cluster2: address 0.0.0.0:${port} is already in use (CLUSTER2_ERR_PORT_IN_USE)`,
    );
  });

  it('of another host is named with that host', async () => {
    const script = run(port, { options: { host: '127.0.0.1' } });
    await fails(
      script,
      `cluster2: address 127.0.0.1:${port} is already in use (CLUSTER2_ERR_PORT_IN_USE)`,
    );
  });

  it('of the monitor fails the start in the same way, and frees the app’s port', async () => {
    const free = await freePort();
    const script = run(free, { options: { monPort: port, monHost: '0.0.0.0' } });
    const what = `cluster2: address 0.0.0.0:${port} (option 'monPort') is already in use`;
    const advice = '--mon-port takes another port, and --mon-port off (monPort: false) none';
    const line =
      `${what}: by the monitor of another cluster? ${advice} (CLUSTER2_ERR_PORT_IN_USE)`;
    await fails(script, line);
    assert.strictEqual((await attempt({ port: free })).outcome, 'refused');
  });

  it('among several is named, and the others are free again', async () => {
    const free = await freePort();
    const script = run(undefined, { options: { port: [free, port] } });
    await fails(
      script,
      `cluster2: address 0.0.0.0:${port} is already in use (CLUSTER2_ERR_PORT_IN_USE)`,
    );
    assert.strictEqual((await attempt({ port: free })).outcome, 'refused');
  });

  it('emits error if that has a listener, and does not exit with 255', async () => {
    const message = await fails255ButEmits(
      run(port, { listener: true }),
      'CLUSTER2_ERR_PORT_IN_USE',
    );
    assert.match(message, new RegExp(`0\\.0\\.0\\.0:${port}`));
  });

  it('of another cluster does not disturb that cluster', async () => {
    const first = await new Script('http.js', { port: await freePort() }).ready();
    await fails(
      run(first.port),
      `cluster2: address 0.0.0.0:${first.port} is already in use (CLUSTER2_ERR_PORT_IN_USE)`,
    );
    assert.strictEqual((await attempt({ port: first.port })).outcome, 'ok');
    assert.strictEqual(first.workers().length, 2);
  });
});

describe('an address that cannot be used', () => {
  it('a unix socket on which another process listens', async () => {
    const first = await new Script('http.js', { options: { port: 'app.sock' } }).ready();
    const socket = path.join(first.cwd, 'app.sock');
    await fails(
      run(undefined, { options: { port: socket } }),
      `cluster2: address ${socket} is already in use (CLUSTER2_ERR_PORT_IN_USE)`,
    );
    assert.ok(fs.existsSync(socket), 'it still belongs to the first');
  });

  it('a unix socket in a directory that does not exist', async () => {
    const script = run(undefined, { options: { port: '/does/not/exist.sock' } });
    await fails(
      script,
      'cluster2: cannot listen on /does/not/exist.sock: No such file or directory (os error 2) (CLUSTER2_ERR_LISTEN)',
    );
  });

  it('a host that is not on this machine', async () => {
    const script = run(await freePort(), { options: { host: '192.0.2.1' } });
    const line = `cluster2: cannot listen on 192.0.2.1:${script.port}: Cannot assign requested address (os error 99)`;
    await fails(script, `${line} (CLUSTER2_ERR_LISTEN)`);
  });

  it('a host name that does not resolve', async () => {
    const script = run(await freePort(), { options: { host: 'no-such-host.invalid' } });
    assert.deepStrictEqual(await script.ended(), { code: 255, signal: null });
    assert.match(
      script.untimed,
      /^cluster2: host 'no-such-host.invalid' cannot be resolved: .*\(CLUSTER2_ERR_HOST_UNKNOWN\)\n$/,
    );
  });
});

describe('an address without permission (needs root, to become another user)', () => {
  let home;
  before(function () {
    if (!canBecomeAnother()) this.skip();
  });
  beforeEach(() => {
    home = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));
    fs.chownSync(home, NOBODY, NOBODY);
  });
  afterEach(() => fs.rmSync(home, { recursive: true, force: true }));

  it('a unix socket in another user’s directory', async () => {
    const theirs = fs.mkdtempSync(path.join(home, 'theirs-'));
    fs.chmodSync(theirs, 0o755);
    const socket = path.join(theirs, 'app.sock');
    const script = run(undefined, { options: { port: socket }, uid: NOBODY, cwd: home });
    await fails(
      script,
      `cluster2: no permission to listen on ${socket} (CLUSTER2_ERR_PORT_DENIED)`,
    );
  });

  it('a low port', async function () {
    if (Number(fs.readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start')) <= 87) {
      this.test.title +=
        ' (not on this machine: net.ipv4.ip_unprivileged_port_start lets everybody have it)';
      this.skip();
    }
    const script = run(87, { uid: NOBODY, cwd: home });
    await fails(
      script,
      'cluster2: no permission to listen on 0.0.0.0:87 (CLUSTER2_ERR_PORT_DENIED)',
    );
  });

  it('emits error if that has a listener', async () => {
    const socket = '/root-only.sock';
    const script = run(undefined, {
      options: { port: socket },
      uid: NOBODY,
      cwd: home,
      listener: true,
    });
    assert.match(
      await fails255ButEmits(script, 'CLUSTER2_ERR_PORT_DENIED'),
      /no permission to listen on \/root-only\.sock/,
    );
  });
});
