'use strict';

// Switching the health check on and off: who may do it, where it shows, and what it survives.

const assert = require('node:assert');
const { once } = require('node:events');
const http = require('node:http');
const net = require('node:net');
const Cluster = require('../..');
const { answersOfAll, request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');

const serve = async (options) =>
  new Script('health-check.js', { port: await freePort(), options }).ready();
const post = (port, path, headers = {}) => request(port, path, { method: 'POST', headers });
const check = async (port) => (await request(port, '/ecv')).status;

/**
 * Returns the health check's answer of every worker: on one connection each, the app says its pid,
 * then the health check is asked.
 */
async function everywhere(script) {
  const seen = new Set();
  await answersOfAll(script.workers(), async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const { headers } = await request(script.port, '/', { agent });
    seen.add((await request(script.port, '/ecv', { agent })).status);
    agent.destroy();
    return { pid: Number(headers.pid) };
  });
  return [...seen];
}

describe('switching the health check', () => {
  it('applies to all workers’ next request, shows in status, and emits one event', async () => {
    const script = await serve({ noWorkers: 4, ecv: { control: true } });
    for (let round = 0; round < 10; round++) {
      assert.strictEqual((await post(script.port, '/ecv/disable')).status, 204);
      // Four consecutive connections reach four workers.
      const answers = await Promise.all(Array.from({ length: 8 }, () => check(script.port)));
      assert.deepStrictEqual(new Set(answers), new Set([400]));
      assert.strictEqual(
        (await post(script.port, '/ecv/disable')).status,
        204,
        'once more changes nothing',
      );
      assert.strictEqual((await post(script.port, '/ecv/enable')).status, 204);
      const again = await Promise.all(Array.from({ length: 8 }, () => check(script.port)));
      assert.deepStrictEqual(new Set(again), new Set([200]));
    }
    await script.until('all is reported', () => script.emitted('enable').length === 10);
    assert.strictEqual(script.emitted('disable').length, 10);
    assert.deepStrictEqual(script.emitted('disable')[0], [{ reason: 'switched off by 127.0.0.1' }]);
    assert.strictEqual((await new Cluster({ pids: script.pids }).status()).ecv.disabled, false);
  });

  it('survives reloads and crashes', async () => {
    const script = await serve({ ecv: { control: true } });
    const cluster = new Cluster({ pids: script.pids });
    await post(script.port, '/ecv/disable');
    const { since } = (await cluster.status()).ecv;
    await cluster.reload();
    await script.until('the old ones are gone', () => script.workers().length === 2);
    assert.deepStrictEqual(await everywhere(script), [400]);
    const [first] = script.workers();
    process.kill(first, 'SIGKILL');
    await script.until(
      'it is replaced',
      () => script.emitted('listening').length >= 5 && script.workers().length === 2,
    );
    assert.deepStrictEqual(await everywhere(script), [400]);
    const { ecv } = await cluster.status();
    assert.deepStrictEqual(ecv, { disabled: true, since, unavailable: null, unhealthy: [] });
  });

  it('needs the exact token; refusals are reported, but not each of them', async () => {
    const script = await serve({ ecv: { control: true, token: 'open sesame' } });
    for (const authorization of [
      undefined,
      'Bearer open',
      'Bearer open sesame!',
      'Basic open sesame',
    ]) {
      const { status, headers } = await post(
        script.port,
        '/ecv/disable',
        authorization ? { authorization } : {},
      );
      assert.deepStrictEqual([status, headers['www-authenticate']], [401, 'Bearer']);
    }
    assert.strictEqual(await check(script.port), 200);
    assert.strictEqual(
      (await post(script.port, '/ecv/disable', { authorization: 'Bearer open sesame' })).status,
      204,
    );
    assert.strictEqual(await check(script.port), 400);
    await script.until('it is reported', () => script.emitted('warning').length > 0);
    const warnings = script.emitted('warning').map(([{ message }]) => message);
    assert.ok(
      warnings.length >= 1 && warnings.length <= 2,
      `one of each worker at most: ${warnings}`,
    );
    assert.match(
      warnings[0],
      /refused 1 request to switch the health check, the last one with 401, from 127\.0\.0\.1/,
    );
  });

  it('is refused from addresses that are not allowed, and for pages in a browser', async () => {
    const closed = await serve({ ecv: { control: true, allow: ['10.0.0.0/8'] } });
    assert.strictEqual((await post(closed.port, '/ecv/disable')).status, 403);
    assert.strictEqual(await check(closed.port), 200);
    const open = await serve({ ecv: { control: true, allow: ['127.0.0.0/8'] } });
    assert.strictEqual(
      (await post(open.port, '/ecv/disable', { origin: 'http://evil.example' })).status,
      403,
    );
    assert.strictEqual((await post(open.port, '/ecv/disable')).status, 204);
  });

  it('is refused for a client that resets its connection, whose address is unknown', async () => {
    for (const cluster of [true, false]) {
      const options = { cluster, ecv: { control: true, allow: ['10.0.0.0/8'] } };
      const script = new Script('health-check.js', { port: await freePort(), options });
      await script.until('it listens', () =>
        check(script.port).then(
          (status) => status === 200,
          () => false,
        ),
      );
      for (let i = 0; i < 30; i++) {
        const client = net.connect(script.port, '127.0.0.1');
        await once(client, 'connect');
        client.write('POST /ecv/disable HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n', () =>
          client.resetAndDestroy(),
        );
        await once(client, 'close');
      }
      assert.strictEqual(await check(script.port), 200);
    }
  });

  it('works on the monitor’s port too', async () => {
    const monPort = await freePort();
    const script = await serve({ monPort, ecv: { control: true } });
    assert.strictEqual(await check(monPort), 200);
    assert.strictEqual((await post(monPort, '/ecv/disable')).status, 204);
    assert.deepStrictEqual([await check(monPort), await check(script.port)], [400, 400]);
    const evil = { host: 'evil.example' };
    assert.strictEqual(
      (await post(monPort, '/ecv/enable', evil)).status,
      403,
      'a page that reaches this machine by DNS rebinding',
    );
    assert.strictEqual((await post(monPort, '/ecv/enable')).status, 204);
    await script.until('both are reported', () => script.emitted('enable').length === 1);
    assert.deepStrictEqual(script.emitted('disable'), [[{ reason: 'switched off by 127.0.0.1' }]]);
  });
});

describe('during shutdownDelay', () => {
  it('the health check says DISABLED while requests are still answered', async () => {
    const monPort = await freePort();
    const script = await serve({ monPort, shutdownDelay: 20_000 });
    assert.strictEqual(await check(script.port), 200);
    script.kill('SIGTERM');
    await script.until('it is disabled', async () => (await check(script.port)) === 400);
    assert.strictEqual(await check(monPort), 400);
    assert.strictEqual((await request(script.port, '/still')).body, 'app GET /still');
  });
});
