'use strict';

// Without the addon a cluster is one process that serves the same app, in JavaScript alone.

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Connection, request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { withoutAddon } = require('../helpers/fallback');
const { VERSION } = require('../helpers/node');
const { freePort } = require('../helpers/ports');

const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
const EXPLAINED = new RegExp(
  '^this is one process, without workers and monitor: the addon for linux-\\S+ ' +
    `\\(Node ${VERSION.replaceAll('.', '\\.')}\\) is missing: .*Install with optional dependencies`,
);

async function start({ options, env, port } = {}, fixture = 'fallback.js') {
  const script = new Script(fixture, {
    port: port ?? (await freePort()),
    options: { monPort: await freePort(), ...options },
    env: { ...withoutAddon(), ...env },
  });
  await script.until('it listens', () => script.output.includes('listens'));
  return script;
}

/** Calls methods of the cluster in its own process. */
async function call(script, methods) {
  const query = Object.entries(methods).map(([name, args]) => [name, JSON.stringify(args)]);
  return JSON.parse((await request(script.port, `/call?${new URLSearchParams(query)}`)).body);
}

const post = (port, where, headers) => request(port, where, { method: 'POST', headers });
const checked = async (port) => (await request(port, '/ecv')).status;
const ended = { code: 0, signal: null };

describe('without the addon', () => {
  it('one process serves the app, and one line says what is missing and why', async () => {
    const script = await start({ env: { QUIET: '1' } });
    assert.strictEqual((await request(script.port)).body, 'hello');
    assert.strictEqual(script.output, 'listens false false\n');
    const [line, ...rest] = script.untimed.trimEnd().split('\n');
    assert.deepStrictEqual(rest, []);
    assert.match(line.slice('cluster2: warning: '.length), EXPLAINED);
    assert.ok(line.startsWith('cluster2: warning: '));
    assert.ok(!fs.existsSync(script.pids), 'nothing is written');
  });

  it('the line is the event warning, and names only features that were asked for', async () => {
    const script = await start();
    await script.until('it is reported', () => script.emitted('warning').length === 1);
    assert.match(script.emitted('warning')[0][0].message, EXPLAINED);
    const withoutMonitor = await start({ options: { monPort: false } });
    await withoutMonitor.until('it is there', () => withoutMonitor.emitted('warning').length === 1);
    const [[{ message }]] = withoutMonitor.emitted('warning');
    assert.match(message, /^this is one process, without workers: the addon/);
    const plain = await start({ options: { monPort: false, cluster: false }, env: { QUIET: '1' } });
    assert.strictEqual((await request(plain.port)).body, 'hello');
    assert.strictEqual(plain.errors, '', 'nothing is missing');
  });

  it('methods that need workers fail with a code and the reason', async () => {
    const script = await start();
    const needed = { reload: [], scale: [2], send: [1, 'x'], broadcast: ['x'], reopenLogs: [] };
    for (const [name, { error }] of Object.entries(await call(script, needed))) {
      assert.strictEqual(error.name, 'ClusterError', name);
      assert.strictEqual(error.code, 'CLUSTER2_ERR_PLATFORM');
      const reason = new RegExp(`^cannot ${name}: there are no workers: the addon for .* is missing`);
      assert.match(error.message, reason);
    }
    const single = await start({ options: { cluster: false } });
    const { scale } = await call(single, { scale: [2] });
    assert.strictEqual(scale.error.code, 'CLUSTER2_ERR_WRONG_STATE', 'none were asked for');
  });

  it('status, heartbeat and counts are those of a process', async () => {
    const script = await start({ options: { heartbeatInterval: 20, timeout: 100 } });
    await new Connection(script.port).isClosed();
    const { status } = await call(script, { status: [] });
    assert.deepStrictEqual(
      [status.running, status.master.pid, status.master.node, status.master.target],
      [true, script.pid, VERSION, 0],
    );
    assert.deepStrictEqual([status.master.state, status.master.monitor], ['running', null]);
    assert.deepStrictEqual(status.master.listening, [`0.0.0.0:${script.port}`]);
    assert.deepStrictEqual(status.workers[0].connections, { active: 1, total: 2, timedOut: 1 });
    assert.deepStrictEqual(status.workers[0].requests, { active: 1, total: 1 });
    assert.ok(status.workers[0].rss > 1e6 && status.workers[0].cpu > 0);
    const beats = () => script.emitted('heartbeat');
    await script.until('it beats', () => beats().length > 1);
    assert.strictEqual(beats()[0][0].workers[0].pid, script.pid);
  });

  it('the health check is switched by requests and by methods, with an event each', async () => {
    const options = { ecv: { control: true, token: 'secret', allow: ['127.0.0.0/8'] } };
    const script = await start({ options });
    const { port } = script;
    const authorization = 'Bearer secret';
    assert.strictEqual((await post(port, '/ecv/disable')).status, 401);
    assert.strictEqual(await checked(port), 200);
    assert.strictEqual((await post(port, '/ecv/disable', { authorization })).status, 204);
    assert.strictEqual(await checked(port), 400);
    const { enable, status } = await call(script, { enable: [], status: [] });
    const ecv = { ...enable, unavailable: null, unhealthy: [] };
    assert.deepStrictEqual([enable.disabled, status.ecv], [false, ecv]);
    assert.strictEqual(await checked(port), 200);
    await call(script, { disable: [] });
    assert.strictEqual(await checked(port), 400);
    await script.until('both are reported', () => script.emitted('disable').length === 2);
    assert.deepStrictEqual(
      script.emitted('disable'),
      [[{ reason: 'switched off by 127.0.0.1' }], [{ reason: 'switched off by a command' }]],
    );
    assert.strictEqual(script.emitted('enable').length, 1);
    const refused = script.emitted('warning').map(([{ message }]) => message);
    assert.ok(refused.some((message) => message.includes('with 401, from 127.0.0.1')), refused);
  });

  it('the health check probes the app and asks the validator', async () => {
    const script = new Script('health-check.js', {
      port: await freePort(),
      options: { ecv: { monitor: '/health' } },
      env: { ...withoutAddon(), VALIDATOR: 'flag' },
    });
    const { port } = script;
    await script.until('it listens', () => checked(port).then((status) => status === 200, () => {}));
    fs.writeFileSync(path.join(script.cwd, 'sick'), '');
    assert.deepStrictEqual([await checked(port), await checked(port)], [500, 500]);
    fs.rmSync(path.join(script.cwd, 'sick'));
    assert.deepStrictEqual([await checked(port), await checked(port)], [200, 200]);
    await script.until('both are reported', () => script.emitted('enable').length === 1);
    const reason = 'the monitor URI answered with status 503';
    assert.deepStrictEqual(script.emitted('disable'), [[{ reason, pid: script.pid }]]);
  });

  for (const signal of ['SIGTERM', 'SIGINT']) {
    it(`${signal} lets requests finish, and ends the process with 0`, async () => {
      const script = await start();
      const [idle, kept] = [new Connection(script.port), new Connection(script.port)];
      await kept.say(GET, 'hello');
      await idle.say('GET /ec', '');
      const waiting = request(script.port, '/wait');
      await script.until('it waits', async () => {
        const { status } = await call(script, { status: [] });
        return status.workers[0].requests.active === 2;
      });
      script.kill(signal);
      await script.until('the signal is reported', () => script.emitted(signal).length === 1);
      assert.deepStrictEqual(script.emitted(signal), [[{ pid: script.pid, type: 'master' }]]);
      await script.until('it is refused', () => request(script.port).then(() => false, () => true));
      await idle.say('v HTTP/1.1\r\nHost: localhost\r\n\r\n', 'status=DISABLED&ServeTraffic=false');
      await kept.say('GET /go HTTP/1.1\r\nHost: localhost\r\n\r\n', 'onnection: close');
      assert.strictEqual((await waiting).body, 'hello');
      assert.deepStrictEqual(await script.ended(), ended);
      assert.match(script.output, /server closed/);
    });
  }

  it('a shutdown ends, even if clients keep connecting', async () => {
    const script = await start();
    let isRefused = false;
    const come = async () => {
      const one = request(script.port).then(({ body }) => body, ({ code }) => code);
      const outcome = await one;
      isRefused ||= outcome === 'ECONNREFUSED';
      return isRefused || (outcome === 'hello' && come());
    };
    const clients = Array.from({ length: 16 }, come);
    await script.until('they are served', async () => {
      const { status } = await call(script, { status: [] });
      return status.totals.requests > 200;
    });
    script.kill();
    assert.deepStrictEqual(await script.ended(), ended);
    await Promise.all(clients);
  });

  it('shutdown() and stop() end it, and its addresses are free', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));
    const port = await freePort();
    const socket = path.join(folder, 'app.sock');
    for (const method of ['shutdown', 'stop']) {
      const script = await start({ options: { port: [port, socket] }, port });
      assert.strictEqual((await request(socket)).body, 'hello');
      const ask = call(script, { [method]: [], status: [] });
      if (method === 'shutdown') {
        const { shutdown, status } = await ask;
        assert.deepStrictEqual(shutdown, { running: true, pid: script.pid });
        assert.strictEqual(status.master.state, 'leaving');
      } else {
        await assert.rejects(ask, { code: 'ECONNRESET' });
      }
      assert.deepStrictEqual(await script.ended(), ended);
      assert.deepStrictEqual(fs.readdirSync(folder), []);
    }
    fs.rmdirSync(folder);
  });

  it('errors of the start have their codes', async () => {
    const port = await freePort();
    await start({ port });
    const failing = async (options, code) => {
      const script = new Script('fallback.js', {
        port,
        options,
        env: { ...withoutAddon(), QUIET: '1' },
      });
      assert.deepStrictEqual(await script.ended(), { code: 255, signal: null });
      assert.match(script.untimed, new RegExp(`^cluster2: [^\\n]*\\(${code}\\)$`, 'm'));
      return script.errors;
    };
    await failing({}, 'CLUSTER2_ERR_PORT_IN_USE');
    await failing({ host: 'unknown.invalid' }, 'CLUSTER2_ERR_HOST_UNKNOWN');
    assert.match(
      await failing({ exec: 'worker.js' }, 'CLUSTER2_ERR_PLATFORM'),
      /there are no workers to run worker\.js; run it by node: the addon/,
    );
    assert.match(
      await failing({ port: 'systemd:web' }, 'CLUSTER2_ERR_LISTEN'),
      /cannot listen on 'systemd:web': a socket that was passed is for workers/,
    );
  });

  it('a cluster elsewhere is not reached, and no method claims that it is', async () => {
    const ask = async (options, method) => {
      const script = new Script('call-method.js', {
        options,
        args: [method, '[]'],
        env: withoutAddon(),
      });
      await script.ended();
      return JSON.parse(script.output);
    };
    const pids = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));
    assert.deepStrictEqual((await ask({ pids }, 'stop')).ok, { running: false });
    fs.writeFileSync(path.join(pids, 'master.lock'), '');
    assert.strictEqual((await ask({ pids }, 'stop')).error.code, 'CLUSTER2_ERR_PLATFORM');
    fs.rmSync(pids, { recursive: true });
  });
});
