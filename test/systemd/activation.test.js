'use strict';

// Sockets opened by systemd. Its own program `systemd-socket-activate` passes them as systemd does.

const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { request } = require('../helpers/client');
const { childrenOf, isAlive } = require('../helpers/cluster');
const hammer = require('../helpers/hammer');
const { freePort } = require('../helpers/ports');
const { Tool, need } = require('../helpers/tools');
const { until } = require('../helpers/wait');

const FIXTURE = path.join(__dirname, '..', 'fixtures', 'hammered.js');
const RESTARTS = path.join(__dirname, '..', 'helpers', 'restarts.sh');
const CLIENTS = { oneShot: 6, slow: 2, upload: 2 };

/** The pid of the running master. */
function master(tool) {
  try {
    return Number(
      fs.readFileSync(path.join(tool.directory, 'pids', 'master.pid'), 'utf8').split('\n')[0],
    );
  } catch {
    return undefined;
  }
}

const events = (tool, name) =>
  tool.output.split('\n').filter((line) => line.startsWith('event ') && line.includes(`"${name}"`));
const sockets = (pid) =>
  fs.readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return fs.readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return '';
    }
  });

describe('a socket that systemd passed', () => {
  let activate;
  before(function () {
    [activate] = need(this, 'systemd-socket-activate');
  });

  /** Prepares the server on `sockets`. The first client starts it. */
  function activated(sockets, { port, names = '', options = {}, command = [] }) {
    const set = { PORT: port, OPTIONS: JSON.stringify({ host: '127.0.0.1', ...options }) };
    const variables = Object.entries(set).map(([name, value]) => `--setenv=${name}=${value}`);
    const listen = sockets.map((socket) => `--listen=${socket}`);
    const named = names ? [`--fdname=${names}`] : [];
    return new Tool(activate, [
      ...listen,
      ...named,
      ...variables,
      ...command,
      process.execPath,
      FIXTURE,
    ]);
  }

  const answered = async (port, path = '/now/a/0') => {
    const asked = () => request(port, path).catch(() => undefined);
    return until('an answer', asked);
  };
  /** Starts a server that will not answer. */
  const poke = async (tool, port) => {
    await until('it listens', () => tool.output.includes('Listening on'));
    await request(port).catch(() => {});
  };
  const listening = (tool, count = 2) =>
    until('workers listen', () => events(tool, 'listening').length >= count).catch((error) =>
      assert.fail(`${error.message}\n${tool.output}`),
    );

  it('is found by its port, and all workers accept from it', async () => {
    const port = await freePort();
    const tool = activated([`127.0.0.1:${port}`], { port });
    await answered(port);
    await listening(tool);
    const passed = fs.readlinkSync(`/proc/${master(tool)}/fd/3`);
    const workers = childrenOf(master(tool));
    assert.strictEqual(workers.length, 2);
    assert.match(passed, /^socket:/);
    for (const worker of workers) assert.ok(sockets(worker).includes(passed));
  });

  it('for all addresses is used for `host: 0.0.0.0`', async () => {
    const port = await freePort();
    activated([String(port)], { port, options: { host: '0.0.0.0' } });
    assert.strictEqual((await answered(port)).status, 200);
  });

  it('is found by its name among several, and knows its address', async () => {
    const [port, other] = [await freePort(), await freePort()];
    const options = { ecv: { monitor: '/now/a/0' } };
    activated([`127.0.0.1:${other}`, `127.0.0.1:${port}`], {
      port: 'systemd:web',
      names: 'admin:web',
      options,
    });
    // This client only starts the server: no process accepts there.
    const starter = net.connect(other, '127.0.0.1').on('error', () => {});
    assert.strictEqual((await answered(port)).status, 200);
    const { body } = await answered(port, '/ecv');
    assert.match(body, new RegExp(`^status=AVAILABLE&.*&port=${port}&`));
    starter.destroy();
  });

  it('may be a unix socket, by its path or name, whose file stays', async () => {
    const { directory } = new Tool('true', []);
    for (const [index, port] of ['path', 'systemd:web'].entries()) {
      const socket = path.join(directory, `${index}.sock`);
      const options = { ecv: { monitor: '/now/a/0' } };
      const tool = activated([socket], {
        port: port === 'path' ? socket : port,
        names: 'web',
        options,
      });
      assert.strictEqual((await answered(socket)).status, 200);
      assert.match((await answered(socket, '/ecv')).body, /^status=AVAILABLE/);
      const pid = master(tool);
      process.kill(pid, 'SIGTERM');
      await until('it is gone', () => !isAlive(pid));
      assert.ok(fs.existsSync(socket));
    }
  });

  it('is named in the error if it was not passed, with those that were', async () => {
    const port = await freePort();
    const tool = activated([`127.0.0.1:${port}`], { port: 'systemd:wbe', names: 'web' });
    await poke(tool, port);
    const words =
      "option 'port' must be a socket that the service manager passed ('systemd:web'); got 'systemd:wbe' (CLUSTER2_ERR_OPTION_INVALID)";
    await until('it is reported', () => tool.output.includes(words)).catch(() =>
      assert.fail(tool.output),
    );
  });

  it('is left alone if it is for another process', async () => {
    const port = await freePort();
    const command = ['sh', '-c', 'LISTEN_PID=1 "$@"', '-'];
    const tool = activated([`127.0.0.1:${port}`], { port, command });
    await poke(tool, port);
    await until('the address is in use', () => /CLUSTER2_ERR_PORT_IN_USE/.test(tool.output));
  });

  for (const kind of ['TCP', 'unix']) {
    it(`of ${kind} keeps clients in a restart for the next master`, async () => {
      const address =
        kind === 'TCP' ? await freePort() : path.join(new Tool('true', []).directory, 'app.sock');
      const listen = kind === 'TCP' ? `127.0.0.1:${address}` : address;
      const tool = activated([listen], { port: address, command: ['sh', RESTARTS] });
      await answered(address);
      await listening(tool);
      const load = hammer.start(address, { clients: CLIENTS });
      for (let times = 1; times <= 3; times++) {
        await load.answered(100);
        const old = master(tool);
        process.kill(old, 'SIGTERM');
        await until('another master is there', () => master(tool) !== old && !isAlive(old));
        await listening(tool, 2 * (times + 1));
        await load.answered(100);
      }
      hammer.assertClean(await load.stop(), { except: ['toldToClose', 'reconnects'] });
      assert.deepStrictEqual(
        tool.output.match(/^restarted after .*/gm),
        Array(3).fill('restarted after 0'),
      );
    });
  }
});
