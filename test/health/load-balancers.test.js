'use strict';

// Load balancers in front of two clusters, with the configurations of the manual: a cluster that is
// switched off or shuts down loses no request.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Connection, request } = require('../helpers/client');
const hammer = require('../helpers/hammer');
const { assertCleanEnd, startServer } = require('../helpers/hammered');
const { freePort } = require('../helpers/ports');
const { Tool, need } = require('../helpers/tools');
const { until } = require('../helpers/wait');

const CONFIGS = path.join(__dirname, '..', '..', 'examples', 'load-balancers');
const CLIENTS = hammer.allExcept('upgrade', 'halfOpen');
/** Longer than HAProxy needs to notice it in the example: inter x fall. */
const SHUTDOWN_DELAY = 2500;

/** Two clusters, and the text of an example with their ports. */
async function twoClusters(file, options = {}) {
  const port = await freePort();
  const start = () => startServer({ options: { ecv: { control: true }, ...options } });
  const [one, two] = [await start(), await start()];
  const text = fs.readFileSync(path.join(CONFIGS, file), 'utf8');
  const config = text
    .replaceAll(':8080', `:${port}`)
    .replaceAll(':3000', `:${one.port}`)
    .replaceAll(':3010', `:${two.port}`);
  return { one, two, port, config };
}

/** Starts the load once the balancer answers and uses both clusters. */
async function load(port, one, two, clients = CLIENTS) {
  await until(
    'the balancer answers',
    async () => (await request(port, '/now/first/0').catch(() => ({}))).status === 200,
  );
  const running = hammer.start(port, { clients });
  await bothServe(running, one, two);
  return running;
}

/**
 * Returns the pids that answer the next requests. Requests already on their way were balanced
 * before.
 */
async function serving(clients) {
  clients.watchPids();
  await clients.answered(100);
  return [...clients.pids];
}

const isOf = (script) => (pid) => script.workers().includes(pid);

const bothServe = (clients, one, two) =>
  until('both clusters serve', async () => {
    const pids = await serving(clients);
    return pids.some(isOf(one)) && pids.some(isOf(two));
  });

/**
 * Waits until the balancer has moved all clients to one cluster, and checks that they stay there.
 */
async function onlyServes(clients, script) {
  await until('all clients have moved', async () => (await serving(clients)).every(isOf(script)));
  for (let rounds = 0; rounds < 3; rounds += 1)
    assert.ok((await serving(clients)).every(isOf(script)));
}

async function switchTo(script, word) {
  assert.strictEqual((await request(script.port, `/ecv/${word}`, { method: 'POST' })).status, 204);
}

describe('behind HAProxy', function () {
  this.timeout(60_000);
  let haproxy;

  before(function () {
    [haproxy] = need(this, 'haproxy');
  });

  const startHaproxy = (config) =>
    new Tool(haproxy, ['-db', '-f', '{directory}/haproxy.cfg'], { 'haproxy.cfg': config });

  for (const [form, prepare] of [
    ['HTTP/1.0 without Host', (text) => text],
    ['HTTP/1.1 with Host', (text) => text.replace('#http-check send', 'http-check send')],
  ]) {
    it(`switching the health check moves all clients (checks in ${form})`, async () => {
      const { one, two, port, config } = await twoClusters('haproxy.cfg');
      startHaproxy(prepare(config));
      const clients = await load(port, one, two);
      await switchTo(one, 'disable');
      await onlyServes(clients, two);
      await switchTo(one, 'enable');
      await bothServe(clients, one, two);
      await switchTo(two, 'disable');
      await onlyServes(clients, one);
      hammer.assertClean(await clients.stop());
    });
  }

  it('a cluster with a shutdownDelay longer than HAProxy needs loses no request', async () => {
    const { one, two, port, config } = await twoClusters('haproxy.cfg', {
      shutdownDelay: SHUTDOWN_DELAY,
    });
    // Without retries: only the delay helps.
    startHaproxy(config.replace('option redispatch 1', '').replace('retries 2', 'retries 0'));
    const clients = await load(port, one, two);
    one.kill('SIGTERM');
    await until('its health check says so', async () =>
      (await request(one.port, '/ecv')).body.startsWith('status=DISABLED'),
    );
    await assertCleanEnd(one);
    await onlyServes(clients, two);
    hammer.assertClean(await clients.stop());
  });
});

describe('a TCP server behind HAProxy', function () {
  this.timeout(60_000);
  let haproxy;

  before(function () {
    [haproxy] = need(this, 'haproxy');
  });

  /** The number of connections that the cluster has accepted. */
  const accepted = async ({ monPort }) =>
    JSON.parse((await request(monPort, '/status.json')).body).totals.connections;

  it('gets connections only while the health check on the monitor’s port allows it', async () => {
    const start = async (monPort) =>
      Object.assign(
        await startServer({ env: { KIND: 'net' }, options: { ecv: { control: true }, monPort } }),
        { monPort },
      );
    const [one, two] = [await start(await freePort()), await start(await freePort())];
    const port = await freePort();
    const text = fs.readFileSync(path.join(CONFIGS, 'haproxy-tcp.cfg'), 'utf8');
    const ports = {
      8080: port,
      3000: one.port,
      3001: one.monPort,
      3010: two.port,
      3011: two.monPort,
    };
    const haproxyCfg = text.replace(/\b(?:8080|30[01][01])\b/g, (example) => ports[example]);
    new Tool(haproxy, ['-db', '-f', '{directory}/haproxy.cfg'], { 'haproxy.cfg': haproxyCfg });
    const talk = async () => {
      const connection = new Connection(port);
      await connection.say('hello', 'hello');
      connection.socket.destroy();
    };
    await until('the balancer answers', () => talk().then(() => true, () => false));
    const moved = async (from, to) => {
      const before = [await accepted(from), await accepted(to)];
      for (let count = 0; count < 6; count += 1) await talk();
      return (await accepted(from)) === before[0] && (await accepted(to)) === before[1] + 6;
    };
    assert.strictEqual(await moved(one, two), false);
    assert.strictEqual(
      (await request(one.monPort, '/ecv/disable', { method: 'POST' })).status,
      204,
    );
    await until('all go to the other one', () => moved(one, two));
    assert.strictEqual((await request(one.monPort, '/ecv/enable', { method: 'POST' })).status, 204);
    await until('it gets some again', async () => !(await moved(one, two)));
  });
});

describe('behind nginx', function () {
  this.timeout(60_000);
  let nginx;

  before(function () {
    [nginx] = need(this, 'nginx');
  });

  function startNginx(config) {
    // As root, nginx would drop its rights, and with them access to its directory.
    const globals = `daemon off;${process.getuid() === 0 ? ' user root;' : ''}`;
    return new Tool(nginx, ['-p', '{directory}', '-c', '{directory}/nginx.conf', '-g', globals], {
      'nginx.conf': config,
    });
  }

  it('a cluster that shuts down loses no request, and nginx uses the other one', async () => {
    const { one, two, port, config } = await twoClusters('nginx.conf');
    startNginx(config);
    const clients = await load(port, one, two);
    one.kill('SIGTERM');
    await assertCleanEnd(one);
    await onlyServes(clients, two);
    hammer.assertClean(await clients.stop());
  });

  it('nginx does not use the health check, and does not show it to clients', async () => {
    const { one, two, port, config } = await twoClusters('nginx.conf');
    startNginx(config);
    const clients = await load(port, one, two);
    await switchTo(one, 'disable');
    await bothServe(clients, one, two);
    assert.strictEqual((await request(port, '/ecv')).status, 404);
    assert.strictEqual((await request(port, '/ecv/enable', { method: 'POST' })).status, 404);
    hammer.assertClean(await clients.stop());
  });
});
