'use strict';

// Messages to a service manager over its notify socket, which a program of the test reads.

const assert = require('node:assert');
const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const Cluster = require('../..');
const { ask } = require('../helpers/ask');
const { request } = require('../helpers/client');
const { CLI, Script, childrenOf } = require('../helpers/cluster');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { callInMaster, change, startServer } = require('../helpers/hammered');
const { freePort } = require('../helpers/ports');
const { Tool, need } = require('../helpers/tools');
const { elapse, until } = require('../helpers/wait');

const UNITS = path.join(__dirname, '..', '..', 'examples', 'systemd');
const LISTENER = path.join(__dirname, '..', 'helpers', 'notify.pl');

describe('the service manager', () => {
  let perl;
  before(function () {
    [perl] = need(this, 'perl');
  });

  /** Binds a notify socket. `lines()` returns the messages. */
  async function manager(name = '{directory}/notify') {
    const tool = new Tool(perl, [LISTENER, name]);
    await until('the socket is bound', () => tool.output.startsWith('bound\n'));
    const socket = name.replace('{directory}', tool.directory);
    const lines = () =>
      tool.output
        .split('\n')
        .slice(1, -1)
        .flatMap((line) => line.split(' | '));
    const heard = (line) =>
      until(`the service manager hears ${line}`, () => lines().includes(line)).catch((error) => {
        throw new Error(`${error.message}\n${tool.output}`);
      });
    return { socket, lines, heard };
  }

  const start = (socket, options = {}, env = {}) =>
    startServer({ options, env: { NOTIFY_SOCKET: socket, ...env } });

  it('gets READY with the first worker, the main pid and the number of workers', async () => {
    const { socket, lines, heard } = await manager();
    const script = await start(socket);
    await heard('STATUS=2 of 2 workers ready');
    assert.deepStrictEqual(
      lines().filter((line) => !line.startsWith('STATUS=')),
      ['READY=1', `MAINPID=${script.pid}`],
    );
    assert.ok(lines().indexOf('STATUS=0 of 2 workers ready') < lines().indexOf('READY=1'));
    assert.strictEqual((await request(script.port, '/now/a/0')).status, 200);
  });

  it('does not get READY if the first start fails', async () => {
    const { socket, lines, heard } = await manager();
    const script = new Script('hammered.js', {
      port: await freePort(),
      env: { NOTIFY_SOCKET: socket },
    });
    change(script, 'if (require("cluster").isWorker) process.exit(9);');
    assert.strictEqual((await script.ended()).code, 255);
    await heard('STOPPING=1');
    assert.ok(!lines().includes('READY=1'));
  });

  it('gets the same on an abstract socket', async () => {
    const { socket, heard } = await manager(`@cluster2-test-${process.pid}`);
    await start(socket);
    await heard('READY=1');
  });

  for (const [how, code, outcome] of [
    ['succeeds', '', 'ok'],
    ['fails', 'process.exit(3)', 'error'],
  ]) {
    it(`gets RELOADING for a reload that ${how}, and READY after it`, async () => {
      const { socket, lines, heard } = await manager();
      const script = await start(socket);
      await heard('STATUS=2 of 2 workers ready');
      change(script, code);
      const before = process.hrtime.bigint();
      assert.ok(outcome in (await ask(script.cwd, 'reload')));
      await until(
        'it is ready again',
        () => lines().filter((line) => line === 'READY=1').length === 2,
      );
      const told = lines()
        .filter((line) => /^(READY|RELOADING|MONOTONIC_USEC)=/.test(line))
        .slice(1);
      assert.deepStrictEqual(
        told.map((line) => line.split('=')[0]),
        ['RELOADING', 'MONOTONIC_USEC', 'READY'],
      );
      const at = BigInt(told[1].split('=')[1]) * 1000n;
      assert.ok(at > before && at < process.hrtime.bigint(), 'of the clock that systemd reads');
    });
  }

  it('gets STOPPING as soon as a shutdown begins, before shutdownDelay', async () => {
    const { socket, lines, heard } = await manager();
    const script = await start(socket, { shutdownDelay: 60_000 });
    script.kill();
    await heard('STOPPING=1');
    const isLeaving = () => lines().some((line) => /^STATUS=leaving: \d workers? finish/.test(line));
    await until('its status says so', isLeaving);
    assert.strictEqual((await request(script.port, '/now/a/0')).status, 200);
    await ask(script.cwd, 'stop');
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    assert.strictEqual(lines().filter((line) => line === 'READY=1').length, 1);
  });

  it("gets WATCHDOG, even if the script is busy, but not from a stopped master", async () => {
    const { socket, lines } = await manager();
    const script = await start(socket, {}, { WATCHDOG_USEC: '200000' });
    const signs = () => lines().filter((line) => line === 'WATCHDOG=1').length;
    await until('signs of life come', () => signs() > 5);
    const done = path.join(script.cwd, 'done');
    await callInMaster(script, 'blockUntil', done);
    await script.until('the script is busy', () => script.emitted('blocking').length > 0);
    const busy = signs();
    await until('signs of life come', () => signs() > busy + 5);
    fs.writeFileSync(done, '');
    await script.until('it is not busy any more', () => script.emitted('blocked').length > 0);
    process.kill(script.pid, 'SIGSTOP');
    await until('it is stopped', () =>
      /^\d+ \(.*\) T/.test(fs.readFileSync(`/proc/${script.pid}/stat`, 'utf8')),
    );
    // Signs that were sent before may still arrive.
    let stopped;
    await until('no more signs of life come', async () => {
      stopped = signs();
      await elapse(500, 'five signs would be sent in that time');
      return signs() === stopped;
    });
    process.kill(script.pid, 'SIGCONT');
    await until('signs of life come again', () => signs() > stopped + 3);
  });

  it('does not get WATCHDOG if that is for another process', async () => {
    const { socket, lines, heard } = await manager();
    await start(socket, {}, { WATCHDOG_USEC: '20000', WATCHDOG_PID: '1' });
    await heard('STATUS=2 of 2 workers ready');
    assert.ok(!lines().includes('WATCHDOG=1'));
  });

  it('is not visible in workers', async () => {
    const { socket } = await manager();
    const script = await start(
      socket,
      {},
      { WATCHDOG_USEC: '30000000', LISTEN_FDS: '1', LISTEN_PID: '1', LISTEN_FDNAMES: 'web' },
    );
    for (const pid of script.workers()) {
      assert.doesNotMatch(
        fs.readFileSync(`/proc/${pid}/environ`, 'utf8'),
        /NOTIFY_SOCKET|WATCHDOG_|LISTEN_/,
      );
    }
  });

  it('gets the same from the parent of several apps, for all of them', async () => {
    const { socket, lines, heard } = await manager();
    const server = "require('http').createServer().listen(process.env.PORT);";
    const later = `const wait = () => require('fs').existsSync('go') ? start() : setTimeout(wait, 20);
      const start = () => { ${server} }; wait();`;
    const folder = emptyFolder();
    const write = (name, text) => fs.writeFileSync(path.join(folder, name), text);
    write('server.js', server);
    write('later.js', later);
    const env = async () => ({ PORT: await freePort() });
    const apps = {
      api: { exec: 'server.js', env: await env() }, late: { exec: 'later.js', env: await env() },
    };
    const common = { noWorkers: 1, minReadyTime: 50, monPort: false };
    write('cluster2.json', JSON.stringify({ ...common, apps }));
    const parent = spawn(CLI, ['start'], {
      cwd: folder, stdio: 'ignore',
      env: { ...process.env, NOTIFY_SOCKET: socket, WATCHDOG_USEC: '400000' },
    });
    const ended = once(parent, 'exit');
    const status = (name) => new Cluster({ pids: path.join(folder, 'pids', name) }).status();
    const isReady = async (name) =>
      (await status(name)).workers?.some(({ state }) => state === 'ready');
    try {
      await until('one app is ready', () => isReady('api'));
      await elapse(300, 'READY would be sent in that time');
      assert.deepStrictEqual(lines(), []);
      write('go', '');
      await heard('READY=1');
      assert.ok(await isReady('late'));
      assert.deepStrictEqual(lines().slice(0, 3), [
        'READY=1', `MAINPID=${parent.pid}`, 'STATUS=all apps are ready',
      ]);
      const signs = () => lines().filter((line) => line === 'WATCHDOG=1').length;
      await until('signs of life come', () => signs() > 1);
      const { pid } = (await status('late')).master;
      assert.doesNotMatch(fs.readFileSync(`/proc/${pid}/environ`, 'utf8'), /NOTIFY_S|WATCHDOG_/);
      process.kill(pid, 'SIGSTOP');
      // Questions that were asked before are answered.
      let stopped;
      await until('no more signs of life come', async () => {
        stopped = signs();
        await elapse(1500, 'the parent waits for the stopped master, and asks again');
        return signs() === stopped;
      });
      process.kill(pid, 'SIGCONT');
      await until('signs of life come again', () => signs() > stopped + 1);
      parent.kill();
      await heard('STOPPING=1');
      assert.deepStrictEqual(await ended, [0, null]);
    } finally {
      const masters = childrenOf(parent.pid);
      for (const one of [parent.pid, ...masters, ...masters.flatMap(childrenOf)]) {
        try {
          process.kill(one, 'SIGKILL');
        } catch {
          // Gone.
        }
      }
      await ended;
      removeFolders();
    }
  });

  it('may disappear without harm', async () => {
    const script = await start('/nowhere/notify', {}, { WATCHDOG_USEC: '20000' });
    assert.strictEqual((await request(script.port, '/now/a/0')).status, 200);
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });
});

describe('the units of the examples', () => {
  let analyze;
  before(function () {
    [analyze] = need(this, 'systemd-analyze');
  });

  it('cause no warning of systemd-analyze', () => {
    const names = fs.readdirSync(UNITS);
    // For a Node in another directory.
    const text = (name) =>
      fs.readFileSync(path.join(UNITS, name), 'utf8').replace('/usr/bin/node', process.execPath);
    const { directory } = new Tool(
      'true',
      [],
      Object.fromEntries(names.map((name) => [name, text(name)])),
    );
    const units = names.map((name) => path.join(directory, name));
    const { status, stdout, stderr } = spawnSync(analyze, ['verify', '--man=no', ...units], {
      encoding: 'utf8',
    });
    assert.deepStrictEqual([status, stdout + stderr], [0, '']);
  });
});
