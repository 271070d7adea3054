'use strict';

// What makes the health check answer WARNING: the monitor URL, the validator, and timeouts of both.

const assert = require('node:assert');
const fs = require('node:fs');
const http = require('node:http');
const { once } = require('node:events');
const path = require('node:path');
const Cluster = require('../..');
const { selfSigned } = require('../helpers/certificate');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { every, until } = require('../helpers/wait');

const check = async (port) => (await request(port, '/ecv')).status;

async function serve({ VALIDATOR, ...options }) {
  return new Script('health-check.js', {
    port: await freePort(),
    options: { noWorkers: 1, ...options },
    env: { VALIDATOR },
  }).ready(1);
}

const sick = (script) => fs.writeFileSync(path.join(script.cwd, 'sick'), '');
const well = (script) => fs.rmSync(path.join(script.cwd, 'sick'));

describe('the health check is WARNING', () => {
  const kinds = {
    'when the monitor path does not answer 2xx': [
      { ecv: { monitor: '/health' } },
      'the monitor URI answered with status 503',
    ],
    'when the validator says no': [{ VALIDATOR: 'flag' }, 'the validator said no'],
    'when the validator rejects the answer of the monitor': [
      { VALIDATOR: 'flag', ecv: { monitor: '/health' } },
      /503/,
    ],
    'when the validator throws': [{ VALIDATOR: 'throws' }, /^the validator failed: .*undefined/],
    'when the validator rejects': [{ VALIDATOR: 'rejects' }, 'the validator failed: not today'],
    'when the validator rejects with a value that has no text': [
      { VALIDATOR: 'wordless' },
      /^the validator failed: something that has/,
    ],
    'when the validator does not answer': [
      { VALIDATOR: 'hangs', ecv: { timeout: 100 } },
      /did not answer within 100 ms/,
    ],
  };
  for (const [what, [options, reason]] of Object.entries(kinds)) {
    it(`${what}, and AVAILABLE after that; each change emits one event`, async () => {
      const script = await serve(options);
      assert.strictEqual(await check(script.port), 200);
      sick(script);
      for (let i = 0; i < 3; i++) assert.strictEqual(await check(script.port), 500);
      await script.until('it is reported', () => script.emitted('disable').length === 1);
      const [[told]] = script.emitted('disable');
      assert.strictEqual(told.pid, script.workers()[0]);
      assert.match(told.reason, reason instanceof RegExp ? reason : new RegExp(`^${reason}$`));
      const { ecv } = await new Cluster({ pids: script.pids }).status();
      assert.deepStrictEqual(ecv.unhealthy, [told]);
      assert.strictEqual(ecv.disabled, false);
      well(script);
      for (let i = 0; i < 3; i++) assert.strictEqual(await check(script.port), 200);
      await script.until('it is reported', () => script.emitted('enable').length === 1);
      assert.strictEqual(script.emitted('disable').length, 1);
    });
  }

  for (const cluster of [true, false]) {
    it(`of a server counts only until it is closed, if 'cluster' is ${cluster}`, async () => {
      const ports = [await freePort(), await freePort()];
      const script = new Script('two-apps.js', {
        env: { PORTS: JSON.stringify(ports) },
        options: { cluster },
      });
      await script.until('it serves', () => script.output.includes('served'));
      assert.deepStrictEqual([await check(ports[0]), await check(ports[1])], [200, 500]);
      await script.until('it is reported', () => script.emitted('disable').length === 1);
      await request(ports[1], '/close');
      await script.until('it is reported', () => script.emitted('enable').length === 1);
      assert.strictEqual(await check(ports[0]), 200);
      assert.deepStrictEqual(
        [script.emitted('disable').length, script.emitted('enable').length],
        [1, 1],
      );
    });
  }

  it('if the validator fails with a message that is too long, cut within a character', async () => {
    const script = await serve({ VALIDATOR: 'babbles' });
    sick(script);
    for (let i = 0; i < 2; i++) assert.strictEqual(await check(script.port), 500);
    await script.until('it is reported', () => script.emitted('disable').length === 1);
    assert.strictEqual(script.emitted('disable')[0][0].reason.length, 500);
    assert.deepStrictEqual(script.emitted('died'), []);
  });

  it('if the monitor URL does not answer, or not in time', async () => {
    const silent = http.createServer(() => {}).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const script = await serve({
      ecv: { monitor: `http://127.0.0.1:${silent.address().port}/`, timeout: 100 },
    });
    assert.strictEqual(await check(script.port), 500);
    silent.closeAllConnections();
    silent.close();
    await once(silent, 'close');
    assert.strictEqual(await check(script.port), 500);
    await script.until('it is reported', () => script.emitted('disable').length === 1);
    assert.match(script.emitted('disable')[0][0].reason, /did not answer within 100 ms/);
  });
});

describe('checks at the same time', () => {
  it('share one probe of the monitor URL, on the app’s port and on the monitor’s', async () => {
    const waiting = [];
    const probed = http
      .createServer((asked, response) => waiting.push(response))
      .listen(0, '127.0.0.1');
    await once(probed, 'listening');
    const monPort = await freePort();
    const script = await serve({
      monPort,
      ecv: { monitor: `http://127.0.0.1:${probed.address().port}/` },
    });
    for (const port of [script.port, monPort]) {
      const agent = new http.Agent({ keepAlive: true });
      const checks = Promise.all(
        Array.from({ length: 50 }, () => request(port, '/ecv', { agent })),
      );
      await until('the probe comes', () => waiting.length > 0);
      const cluster = new Cluster({ pids: script.pids });
      // On the app's port, all fifty have arrived by then; a later check would start another probe.
      await until(
        'all have come',
        async () => port === monPort || (await cluster.status()).workers[0].requests.active === 50,
      );
      waiting.shift().end('fine');
      if (port === script.port) assert.strictEqual(waiting.length, 0);
      const stop = every(5, () => waiting.shift()?.end('fine'));
      assert.ok((await checks).every(({ status }) => status === 200));
      stop();
      agent.destroy();
    }
    probed.closeAllConnections();
    probed.close();
    await once(probed, 'close');
  });
});

describe('the health check on the monitor’s port', () => {
  it('calls the validator of the master, and requests the monitor path of the app', async () => {
    const monPort = await freePort();
    const script = await serve({ monPort, VALIDATOR: 'flag', ecv: { monitor: '/health' } });
    assert.strictEqual(await check(monPort), 200);
    sick(script);
    assert.strictEqual(await check(monPort), 500);
    well(script);
    assert.strictEqual(await check(monPort), 200);
  });

  it('is WARNING in time if the validator hangs', async () => {
    const monPort = await freePort();
    const script = await serve({ monPort, VALIDATOR: 'hangs', ecv: { timeout: 100 } });
    sick(script);
    assert.strictEqual(await check(monPort), 500);
  });

  it('emits its changes: for TCP servers there are no others', async () => {
    const monPort = await freePort();
    const script = await serve({ monPort, VALIDATOR: 'flag' });
    sick(script);
    assert.deepStrictEqual([await check(monPort), await check(monPort)], [500, 500]);
    await script.until('it is reported', () => script.emitted('disable').length === 1);
    assert.deepStrictEqual(script.emitted('disable'), [[{ reason: 'the validator said no' }]]);
    const { ecv } = await new Cluster({ pids: script.pids }).status();
    assert.deepStrictEqual(ecv.unhealthy, [{ pid: script.pid, reason: 'the validator said no' }]);
    well(script);
    assert.strictEqual(await check(monPort), 200);
    await script.until('it is reported', () => script.emitted('enable').length === 1);
  });

  it('requests from an https app whose createApp calls back late', async () => {
    const monPort = await freePort();
    const options = { monPort, ecv: { monitor: '/' } };
    const env = { KIND: 'https', TLS: JSON.stringify(selfSigned()), LATE: '1' };
    const script = await new Script('app-kinds.js', {
      port: await freePort(),
      options,
      env,
    }).ready();
    await script.until('it is well', async () => (await check(monPort)) === 200);
  });

  it('exists for a TCP server', async () => {
    const monPort = await freePort();
    const env = { KIND: 'net', TLS: '{}' };
    await new Script('app-kinds.js', { port: await freePort(), options: { monPort }, env }).ready();
    assert.strictEqual(await check(monPort), 200);
  });
});

describe('with cluster: false', () => {
  it('the health check, its control, validator and monitor work in the same way', async () => {
    const [port, monPort] = [await freePort(), await freePort()];
    const options = { cluster: false, monPort, ecv: { control: true, monitor: '/health' } };
    const script = new Script('health-check.js', { port, options, env: { VALIDATOR: 'flag' } });
    await script.until('it listens', () =>
      check(port).then(
        (status) => status === 200,
        () => false,
      ),
    );
    assert.strictEqual(await check(monPort), 200);
    sick(script);
    assert.deepStrictEqual([await check(port), await check(monPort)], [500, 500]);
    well(script);
    assert.deepStrictEqual([await check(port), await check(monPort)], [200, 200]);
    assert.strictEqual((await request(port, '/ecv/disable', { method: 'POST' })).status, 204);
    assert.deepStrictEqual([await check(port), await check(monPort)], [400, 400]);
    await script.until('all is reported', () => script.emitted('disable').length === 2);
    assert.deepStrictEqual(
      script.emitted('disable').map(([{ pid }]) => pid),
      [script.pid, undefined],
    );
    const { master, workers } = JSON.parse((await request(monPort, '/status.json')).body);
    assert.deepStrictEqual([master.pid, workers.length, master.target], [script.pid, 1, 0]);
  });
});
