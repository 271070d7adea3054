'use strict';

// `cluster2 upgrade`: what it prints, and how it ends.

const assert = require('node:assert');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { Connection } = require('../helpers/client');
const { CLI, canContain } = require('../helpers/cluster');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { change, startServer } = require('../helpers/hammered');
const { endAll, masterOf, told } = require('../helpers/upgrades');
const { until } = require('../helpers/wait');

const run = promisify(execFile);

/** Runs the command, whatever its exit code. */
async function command(script, ...args) {
  const asked = run(CLI, ['upgrade', ...args], { cwd: script.cwd });
  const { code = 0, stdout, stderr } = await asked.catch((error) => error);
  return { code, stdout, stderr };
}

describe('cluster2 upgrade', function () {
  this.timeout(60_000);

  it('shows its progress, and ends with 0', async () => {
    const script = await startServer({ options: { minReadyTime: 1000 } });
    const { code, stdout, stderr } = await command(script);
    const heir = masterOf(script);
    assert.deepStrictEqual([code, stdout], [
      0, `master ${heir} has taken over, and the old one is done\n`,
    ]);
    assert.match(stderr, new RegExp(`^cluster2: master ${heir}: 2 of 2 ready$`, 'm'));
    await endAll(script);
  });

  it('shows the workers that are left, while they drain', async () => {
    const script = await startServer();
    const slow = new Connection(script.port);
    slow.socket.write('POST /now/a/0 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234');
    await until('the request is under way', async () =>
      (await script.status()).workers.some(({ requests }) => requests.active > 0));
    const asked = run(CLI, ['upgrade'], { cwd: script.cwd });
    let said = '';
    asked.child.stderr.on('data', (text) => (said += text));
    await until('it is shown', () =>
      new RegExp(`master ${masterOf(script)} took over; 1 worker of the old`).test(said));
    await slow.say('56789', 'a 10 ');
    await asked;
    slow.socket.destroy();
    await endAll(script);
  });

  it('warns if there is hardly memory for twice the workers', async function () {
    if (!canContain()) return this.skip();
    const folder = emptyFolder();
    const MEMINFO = path.join(folder, 'meminfo');
    fs.writeFileSync(MEMINFO, 'MemTotal: 9000000 kB\nMemAvailable: 20480 kB\n');
    const mount = 'mount --bind "$MEMINFO" /proc/meminfo && exec "$0" "$@"';
    const script = await startServer({
      env: { MEMINFO }, through: ['unshare', '--mount', 'sh', '-c', mount],
    });
    const { code, stderr } = await command(script);
    assert.strictEqual(code, 0, 'the upgrade is done all the same');
    const warning = /until the old workers have drained, .* take \d+ MiB, and 20 MiB is available/;
    assert.match(stderr, warning);
    await until('it is an event too', () => told(script, 'warning').length > 0);
    assert.match(told(script, 'warning')[0][0].message, warning);
    await endAll(script);
    removeFolders();
  });

  it('ends with 1, the reason and the last lines if the upgrade fails', async () => {
    const script = await startServer();
    const broken = ['--', process.execPath, '-e', 'throw new Error("so broken")'];
    const { code, stdout, stderr } = await command(script, ...broken);
    assert.deepStrictEqual([code, stdout], [1, '']);
    assert.match(stderr, /exited with code 1; its last lines:\n[^]*Error: so broken[^]*\(CLUSTER2_/);
    await endAll(script);
  });

  it('fails after the time of --timeout', async () => {
    const script = await startServer();
    change(script, 'exports.begin = () => {};');
    const { code, stderr } = await command(script, '--timeout', '1');
    assert.strictEqual(code, 1);
    assert.match(stderr, /was not ready within 1 s/);
    await endAll(script);
  });

  it('ends with 3 where no cluster runs', async () => {
    const script = await startServer();
    await endAll(script);
    const { code } = await command({ cwd: '/tmp' }, '--pids', '/tmp/cluster2-nothing-here');
    assert.strictEqual(code, 3);
  });
});
