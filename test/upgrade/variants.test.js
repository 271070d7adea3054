'use strict';

// A master takes over that differs from the old one: in its addresses, its number of workers, the
// way in which it was started, or its options.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const Cluster = require('../..');
const { Connection, request } = require('../helpers/client');
const { CLI, Script, childrenOf, isAlive } = require('../helpers/cluster');
const { pidOn } = require('../helpers/debugger');
const hammer = require('../helpers/hammer');
const { change, startServer, versionOf } = require('../helpers/hammered');
const { NODE } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const {
  endAll, idleConnections, lastHeir, masterOf, told, upgrade,
} = require('../helpers/upgrades');
const { until } = require('../helpers/wait');

const FIXTURES = path.join(__dirname, '..', 'fixtures');

/** Idle connections stay for as long as a test takes. */
const LONG = { KEEP_ALIVE: '60000' };

/** Variables for a master with other options. */
const withOptions = (options) => ({ OPTIONS: JSON.stringify({ minReadyTime: 50, ...options }) });

/** Runs `change` under load on each address, and checks that no client noticed. */
async function underLoad(addresses, change) {
  const loads = addresses.map((address) => hammer.start(address));
  await Promise.all(loads.map((load) => load.answered(50)));
  await change();
  await Promise.all(loads.map((load) => load.answered(50)));
  for (const load of loads) hammer.assertClean(await load.stop());
}

describe('an upgrade to something else', function () {
  this.timeout(60_000);

  it('keeps a unix socket, whose file the last master removes', async () => {
    const folder = fs.mkdtempSync('/tmp/cluster2-test-');
    const socket = path.join(folder, 'app.sock');
    const script = await startServer({ port: socket });
    await underLoad([socket], async () => {
      await upgrade(script);
      await upgrade(script);
    });
    await endAll(script);
    assert.deepStrictEqual(fs.readdirSync(folder), []);
    fs.rmdirSync(folder);
  });

  it('keeps two ports, adds one, and removes one', async () => {
    const [first, second, third] = [await freePort(), await freePort(), await freePort()];
    const script = await startServer({ options: { port: [first, second] } });
    await underLoad([first, second], () => upgrade(script));
    await underLoad([first, second], async () => {
      await upgrade(script, { env: withOptions({ port: [first, second, third] }) });
    });
    const leaving = new Connection(third);
    await leaving.say('GET /now/a/0 HTTP/1.1\r\nHost: x\r\n\r\n', '200 OK');
    leaving.received = '';
    const cluster = new Cluster({ pids: script.pids });
    const upgraded = cluster.upgrade({ env: withOptions({ port: [first, second] }) });
    await until('the third master takes over', () => told(script, 'takeover').length === 3);
    // Its worker learns of it a moment later.
    await until('an answer asks to leave', async () => {
      leaving.received = '';
      await leaving.say('GET /now/b/0 HTTP/1.1\r\nHost: x\r\n\r\n', '\r\n\r\nb ');
      return leaving.received.includes('Connection: close');
    });
    const { closed } = await upgraded;
    assert.deepStrictEqual(closed.map((place) => Number(place.split(':').at(-1))), [third]);
    const warning = `no worker of the new master serves ${closed}, which closes`;
    await until('it is reported', () =>
      told(script, 'warning').some(([{ message }]) => message === warning));
    await assert.rejects(request(third, '/now/a/0'), { code: 'ECONNREFUSED' });
    await endAll(script);
  });

  it('changes the number of workers', async () => {
    const script = await startServer({ env: LONG });
    const idle = await idleConnections(script.port, 20);
    await underLoad([script.port], async () => {
      for (const noWorkers of [4, 1]) {
        const master = await upgrade(script, { env: withOptions({ noWorkers }) });
        assert.strictEqual(childrenOf(master).length, noWorkers);
      }
    });
    await idle.check();
    idle.end();
    await endAll(script);
  });

  it('goes from a script with a Cluster to the command line, and back', async () => {
    const script = await startServer({ env: LONG, options: { host: '127.0.0.1' } });
    const idle = await idleConnections(script.port, 20);
    const { port, pids } = script;
    await underLoad([port], async () => {
      const options = ['--workers', '2', '--pids', pids, '--min-ready-time', '50', '--node', NODE];
      const plain = path.join(FIXTURES, 'plain.js');
      const args = ['start', ...options, '--port', `${port}`, '--host', '127.0.0.1', plain];
      await upgrade(script, { command: CLI, args });
      const own = [path.join(FIXTURES, 'hammered.js')];
      await upgrade(script, { command: NODE, args: own });
    });
    await idle.check();
    idle.end();
    await endAll(script);
  });

  it('goes to another version of Node, and back', async () => {
    const script = await startServer({ env: LONG });
    const idle = await idleConnections(script.port, 20);
    const args = [path.join(FIXTURES, 'hammered.js')];
    await underLoad([script.port], async () => {
      // `npm run test:nodes` has the first one on another Node than this process.
      for (const command of [process.env.CLUSTER2_OTHER_NODE ?? process.execPath, NODE]) {
        await upgrade(script, { command, args });
        const { node } = (await script.status()).master;
        assert.strictEqual(node, execFileSync(command, ['--version'], { encoding: 'utf8' }).trim());
      }
    });
    await idle.check();
    idle.end();
    await endAll(script);
  });

  it('reads the configuration file again, under the command line', async () => {
    const script = new Script('plain.js', { port: await freePort(), cli: ['--mon-port', 'off'] });
    await script.ready();
    fs.writeFileSync(path.join(script.cwd, 'cluster2.json'), JSON.stringify({ noWorkers: 3 }));
    await underLoad([script.port], async () => {
      const master = await upgrade(script);
      assert.strictEqual(childrenOf(master).length, 3);
    });
    await endAll(script);
  });

  it('resolves the working directory again, where a symlink led there', async () => {
    const folder = fs.mkdtempSync('/tmp/cluster2-test-');
    for (const release of ['first', 'second']) {
      fs.mkdirSync(path.join(folder, release));
      const code = `exports.version = '${release}';`;
      fs.writeFileSync(path.join(folder, release, 'app.js'), code);
    }
    const current = path.join(folder, 'current');
    fs.symlinkSync('first', current);
    const pids = path.join(folder, 'pids');
    const script = new Script('hammered.js', {
      port: await freePort(), cwd: current, env: { PWD: current }, options: { pids },
    });
    await script.ready();
    fs.rmSync(current);
    fs.symlinkSync('second', current);
    fs.rmSync(path.join(folder, 'first'), { recursive: true });
    await new Cluster({ pids }).upgrade();
    assert.strictEqual(await versionOf(script.port), 'second');
    script.kill();
    await script.ended();
    fs.rmSync(folder, { recursive: true });
  });

  for (const place of ['its command', 'NODE_OPTIONS']) {
    it(`has another debug port where ${place} names one`, async () => {
      const flag = `--inspect=127.0.0.1:${await freePort()}`;
      const isInCommand = place === 'its command';
      const script = await startServer({
        ...(isInCommand ? { execArgv: [flag] } : { env: { NODE_OPTIONS: flag } }),
      });
      const ports = () =>
        [...script.errors.matchAll(/ws:\/\/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port));
      await underLoad([script.port], async () => {
        for (let time = 1; time <= 2; time++) {
          const master = await upgrade(script);
          const isReached = async () => (await Promise.all(ports().map(pidOn))).includes(master);
          await until('a debugger reaches it', isReached);
        }
      });
      await endAll(script);
    });
  }

  it('keeps the health check switched off, and the monitor', async () => {
    const monPort = await freePort();
    const script = await startServer({ options: { ecv: true, monPort } });
    const cluster = new Cluster({ pids: script.pids });
    await cluster.disable();
    const master = await upgrade(script);
    assert.match((await request(script.port, '/ecv')).body, /DISABLED/);
    assert.ok((await request(monPort, '/')).body.includes(`${master}`), 'the page is its own');
    await cluster.enable();
    assert.match((await request(script.port, '/ecv')).body, /AVAILABLE/);
    await upgrade(script);
    assert.match((await request(script.port, '/ecv')).body, /AVAILABLE/);
    await endAll(script);
  });

  it('uses another directory for its pid files if the new options name one', async () => {
    const script = await startServer();
    const pids = path.join(script.cwd, 'others');
    const env = withOptions({ pids });
    const { pid } = await new Cluster({ pids: script.pids }).upgrade({ env });
    assert.deepStrictEqual(fs.readdirSync(script.pids), []);
    assert.strictEqual(Number(fs.readFileSync(path.join(pids, 'master.pid'), 'utf8')), pid);
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('ends too if the old master, which still answers there, is told to shut down', async () => {
    const script = await startServer();
    const slow = request(script.port, '/late/old/2000', { agent: false });
    await script.until('it is under way', async () =>
      (await script.status()).workers.some(({ requests }) => requests.active > 0));
    const cluster = new Cluster({ pids: script.pids });
    const env = withOptions({ pids: path.join(script.cwd, 'others') });
    const upgraded = cluster.upgrade({ env });
    await script.until('the new master leads', () => told(script, 'takeover').length > 0);
    await cluster.shutdown();
    assert.strictEqual((await slow).status, 200);
    await upgraded;
    await until('the new master ends', () => !isAlive(lastHeir(script)));
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('continues the numbers of slots, and those of log files with them', async () => {
    const script = await startServer();
    change(script, 'exports.version = "second";');
    await upgrade(script);
    const { workers } = await script.status();
    assert.deepStrictEqual(workers.map(({ slot, generation }) => [slot, generation]), [
      [0, 2],
      [1, 2],
    ]);
    assert.strictEqual(await versionOf(script.port), 'second');
    assert.deepStrictEqual(told(script, 'takeover').length, 1);
    assert.notStrictEqual(masterOf(script), script.pid);
    await endAll(script);
  });
});
