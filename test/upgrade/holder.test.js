'use strict';

// The pid that others know, after another master has taken over.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const Cluster = require('../..');
const { cluster2 } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { Script, canContain, childrenOf, isAlive } = require('../helpers/cluster');
const { callInMaster, startServer, versionOf } = require('../helpers/hammered');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { freePort } = require('../helpers/ports');
const { endAll, lastHeir, masterOf, told, upgrade } = require('../helpers/upgrades');
const { Tool, need } = require('../helpers/tools');
const { until } = require('../helpers/wait');

const FIXTURES = path.join(__dirname, '..', 'fixtures');
const LISTENER = path.join(__dirname, '..', 'helpers', 'notify.pl');

/** All resident memory of a process, bytes. */
function memoryOf(pid) {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(status)[1]);
}

const nameOf = (pid) => fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim();

const commandOf = (pid) => fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');

/** Starts a service manager of its own. Returns its socket, and a function for its messages. */
async function notified(context) {
  const [perl] = need(context, 'perl');
  const tool = new Tool(perl, [LISTENER, '{directory}/notify']);
  await until('the socket is bound', () => tool.output.startsWith('bound\n'));
  const lines = () => tool.output.split('\n').flatMap((line) => line.split(' | '));
  return { socket: path.join(tool.directory, 'notify'), lines };
}

describe('the pid of the first master', function () {
  this.timeout(60_000);

  it('stays: a small program passes signals on, and ends as the present master does', async () => {
    const script = await startServer();
    const heir = await upgrade(script);
    await until('it is the program', () => commandOf(script.pid)[1] === 'hold');
    // It is small before that too, while it starts.
    await until('it has its name', () => nameOf(script.pid) === 'cluster2');
    const isSmall = () => memoryOf(script.pid) < 2 << 20;
    await until('it has less than 2 MB', isSmall).catch((error) => {
      throw new Error(`${error.message}: ${memoryOf(script.pid)} bytes`);
    });
    assert.deepStrictEqual(childrenOf(script.pid), [heir]);
    script.kill('SIGHUP');
    await script.until('the present master reloads', () =>
      script.output.includes('"event":["reload",{"replaced":2}]'));
    await until('it has less than 2 MB again', isSmall);
    process.kill(heir, 'SIGKILL');
    // As a shell shows it: 128 and the number of the signal.
    assert.deepStrictEqual(await script.ended(), { code: 137, signal: null });
  });

  it('gets signals that come while one takes over from the other', async () => {
    const script = await startServer();
    const upgraded = upgrade(script).catch(() => {});
    await until('the new one has taken over', () => told(script, 'takeover').length === 1);
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    await upgraded;
    const heir = told(script, 'upgrading')[0][0].pid;
    assert.ok(!isAlive(heir));
  });

  it('gets signals that come while its script’s own exit listeners run', async () => {
    const file = path.join(emptyFolder(), 'slow-exit.js');
    const mark = (pid) => `${file}.${pid}`;
    fs.writeFileSync(
      file,
      `if (require('cluster').isPrimary) process.on('exit', () => {
        require('fs').writeFileSync(__filename + '.' + process.pid, '');
        const end = performance.now() + 300;
        while (performance.now() < end);
      });`,
    );
    const script = await startServer({ env: { NODE_OPTIONS: `--require=${file}` } });
    const heir = await upgrade(script);
    await until('they run', () => fs.existsSync(mark(script.pid)));
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    assert.ok(!isAlive(heir));
    removeFolders();
  });

  it('stays process 1 of a container', async function () {
    if (!canContain()) return this.skip();
    const script = await startServer({ container: true });
    await callInMaster(script, 'upgrade');
    await script.until('the new one has taken over', () => told(script, 'upgrade').length === 1);
    await until('it is the program', () => commandOf(script.master)[1] === 'hold');
    assert.strictEqual(await versionOf(script.port), 'first');
    assert.strictEqual(childrenOf(script.master).length, 1);
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('stays process 1 of a container, even with a service manager', async function () {
    if (!canContain()) return this.skip();
    const { socket, lines } = await notified(this);
    const script = await startServer({ container: true, env: { NOTIFY_SOCKET: socket } });
    const main = () => lines().filter((line) => line.startsWith('MAINPID='));
    await until('the first one is ready', () => lines().includes('READY=1'));
    const before = main();
    await callInMaster(script, 'upgrade');
    await script.until('the new one has taken over', () => told(script, 'upgrade').length === 1);
    await until('it is the program', () => commandOf(script.master)[1] === 'hold');
    assert.strictEqual(await versionOf(script.port), 'first');
    await until('the new one is ready', () => lines().lastIndexOf('READY=1') > 1);
    // Its process 1 is the main process as before.
    assert.deepStrictEqual(main(), before);
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('stays the job of a terminal, whose Ctrl-C ends all', async function () {
    need(this, 'script');
    const command = `exec ${process.execPath} ${path.join(FIXTURES, 'hammered.js')}`;
    const folder = emptyFolder();
    const port = await freePort();
    const env = { ...process.env, OPTIONS: '{"minReadyTime":50}', PORT: `${port}` };
    const terminal = spawn('script', ['-qec', command, '/dev/null'], {
      cwd: folder, env: { ...env, SHELL: '/bin/bash' }, stdio: ['pipe', 'ignore', 'ignore'],
    });
    const ended = once(terminal, 'exit');
    const cluster = new Cluster({ pids: path.join(folder, 'pids') });
    try {
      await until('it runs', async () => {
        const { workers = [] } = await cluster.status();
        return workers.filter(({ state }) => state === 'ready').length === 2;
      });
      const { pid: first } = (await cluster.status()).master;
      const { pid } = await cluster.upgrade();
      await until('it is the program', () => commandOf(first)[1] === 'hold');
      terminal.stdin.write('\x03');
      assert.deepStrictEqual(await ended, [0, null]);
      assert.ok(!isAlive(pid) && !isAlive(first));
    } finally {
      terminal.kill('SIGKILL');
      await cluster.stop();
      removeFolders();
    }
  });

  it('is replaced under a service manager, and the old process ends', async function () {
    const { socket, lines } = await notified(this);
    const script = await startServer({ env: { NOTIFY_SOCKET: socket } });
    // Requests that the old master still has: until it ends, it is the main process.
    const slow = request(script.port, '/late/a/1500');
    await until('the request is under way', async () =>
      (await script.status()).workers.some(({ requests }) => requests.active > 0));
    const upgraded = upgrade(script);
    await until('the new one was started', () => lastHeir(script));
    // A service manager waits only for a main process that is its child.
    assert.ok(!childrenOf(script.pid).includes(lastHeir(script)));
    await until('it has taken over', () => told(script, 'takeover').length === 1);
    assert.ok(!lines().includes(`MAINPID=${lastHeir(script)}`));
    assert.strictEqual((await slow).status, 200);
    const heir = await upgraded;
    await script.exited();
    await until('the new one is the main process', () => lines().includes(`MAINPID=${heir}`));
    assert.ok(!lines().includes('STOPPING=1'), 'the service goes on');
    assert.strictEqual(masterOf(script), heir);
    process.kill(heir, 'SIGTERM');
    await script.ended();
    await until('now it stops', () => lines().includes('STOPPING=1'));
  });

  it('stays with the third master if the second is killed while the third starts', async () => {
    const script = await startServer({ options: { minReadyTime: 400 } });
    const second = await upgrade(script);
    await until('it is the program', () => commandOf(script.pid)[1] === 'hold');
    const lost = assert.rejects(upgrade(script), { code: 'CLUSTER2_ERR_CONTROL' });
    await until('a third one was started', () => told(script, 'upgrading').length === 2);
    await until('its workers are ready', () => told(script, 'listening').length === 6);
    process.kill(second, 'SIGKILL');
    await lost;
    const third = lastHeir(script);
    await until('the third one is master', () => masterOf(script) === third);
    await until('it is a child of the program', () => childrenOf(script.pid).includes(third));
    assert.strictEqual(commandOf(script.pid)[1], 'hold');
    await endAll(script);
  });

  it('ends with code 0 if the third master is told to end while it takes over', async () => {
    const script = await startServer();
    await upgrade(script);
    await until('it is the program', () => commandOf(script.pid)[1] === 'hold');
    const slow = request(script.port, '/late/a/2000');
    const cluster = new Cluster({ pids: script.pids });
    await until('the request is under way', async () =>
      (await cluster.status()).workers.some(({ requests }) => requests.active > 0));
    const upgraded = cluster.upgrade().catch(() => {});
    await until('a third one has taken over', () => told(script, 'takeover').length === 2);
    script.kill();
    assert.strictEqual((await slow).status, 200);
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    await upgraded;
  });

  it('is kept by the same process after a restart of the present master', async () => {
    const script = new Script('plain.js', { port: await freePort(), cli: ['--mon-port', 'off'] });
    await script.ready();
    const second = await upgrade(script);
    await until('it is the program', () => commandOf(script.pid)[1] === 'hold');
    const { status, stderr } = cluster2(script.cwd, 'restart');
    assert.strictEqual(status, 0, stderr);
    assert.strictEqual(masterOf(script), second);
    const third = await upgrade(script);
    await until('only the third one is left', () => String(childrenOf(script.pid)) === `${third}`);
    assert.ok(!isAlive(second), 'there is no second program');
    await endAll(script);
  });

  it('is kept by one process, however often another master takes over', async () => {
    const script = await startServer();
    for (let time = 1; time <= 3; time++) await upgrade(script);
    await until('only one master is left', () => childrenOf(script.pid).length === 1);
    await endAll(script);
  });
});
