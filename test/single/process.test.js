'use strict';

// `cluster: false`: the app runs in this process. Mocha exits by itself only if nothing stays open.

const assert = require('node:assert');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const Cluster = require('../..');
const { Connection, request } = require('../helpers/client');
const { Script, childrenOf } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { GET, clusters, patient, refused, start, stopAll } = require('../helpers/single');
const { until, within } = require('../helpers/wait');

describe('a single process', () => {
  afterEach(stopAll);

  it('runs the app itself, without workers', async () => {
    const port = await freePort();
    // Not the default directory: `npm start` leaves one in the clone.
    const pids = path.join(os.tmpdir(), `cluster2-single-${process.pid}`);
    const cluster = await start(
      http.createServer((_, response) => response.end(`${process.pid}`)),
      { port, pids },
    );
    assert.strictEqual((await request(port)).body, String(process.pid));
    assert.deepStrictEqual(childrenOf(process.pid), []);
    assert.ok(!fs.existsSync(pids));
    for (const call of [
      () => cluster.scale(2),
      () => cluster.send(1, 'hello'),
      () => cluster.broadcast('hello'),
    ]) {
      await assert.rejects(call, { name: 'ClusterError', code: 'CLUSTER2_ERR_WRONG_STATE' });
    }
  });

  it('takes the same kinds of apps, and calls back with the passed values', async () => {
    const port = await freePort();
    const express = require('express4')().get('/', (_, response) => response.send('express'));
    const cluster = new Cluster({ cluster: false, monPort: false, port });
    clusters.push(cluster);
    const monitor = http.createServer();
    const passed = await new Promise((resolve) => {
      cluster.listen(
        (callback) => setImmediate(callback, express, monitor),
        (...args) => resolve(args),
      );
    });
    assert.ok(passed[0] === express && passed[1] === monitor);
    assert.strictEqual((await request(port)).body, 'express');
  });

  it('counts a connection once if one of its servers passes it to another', async () => {
    const { server } = patient();
    const front = net.createServer((socket) => server.emit('connection', socket));
    const [port, other] = [await freePort(), await freePort()];
    const cluster = await start([{ app: front, port }, { app: server, port: other }]);
    const client = new Connection(port);
    await client.say(GET, 'hello');
    const counted = async () => (await cluster.status()).workers[0].connections;
    assert.deepStrictEqual(await counted(), { active: 1, total: 1, timedOut: 0 });
    client.socket.end();
    await until('the end is counted', async () => (await counted()).active === 0);
    await cluster.shutdown({ wait: true });
  });

  it('listens on several ports, and on unix sockets', async () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));
    const ports = [await freePort(), await freePort(), path.join(directory, 'app.sock')];
    const cluster = await start(patient().server, { port: ports });
    for (const port of ports) assert.strictEqual((await request(port)).body, 'hello');
    assert.strictEqual(
      (await cluster.status()).totals.connections,
      3,
      'each connection counts once',
    );
    await cluster.shutdown({ wait: true });
    for (const port of ports.slice(0, 2)) await refused(port);
    assert.deepStrictEqual(fs.readdirSync(directory), []);
    fs.rmdirSync(directory);
  });

  it('serves an array of { app, port } on those ports only', async () => {
    const [one, two, unused] = [await freePort(), await freePort(), await freePort()];
    const apps = [
      { app: patient().server, port: one },
      { app: net.createServer((socket) => socket.end('net')), port: two },
    ];
    await start(apps, { port: unused });
    assert.strictEqual((await request(one)).body, 'hello');
    await new Connection(two).hears('net');
    await refused(unused);
  });

  it('has a status', async () => {
    const port = await freePort();
    const cluster = await start(patient().server, { port });
    const client = new Connection(port);
    await client.say(GET, 'hello');
    const { running, master, workers, totals } = await cluster.status();
    assert.deepStrictEqual(
      [running, master.pid, workers.length, workers[0].pid],
      [true, process.pid, 1, process.pid],
    );
    assert.deepStrictEqual(workers[0].connections, { active: 1, total: 1, timedOut: 0 });
    assert.deepStrictEqual(workers[0].requests, { active: 0, total: 1 });
    assert.deepStrictEqual([totals.connections, totals.timedOut, totals.requests], [1, 0, 1]);
    client.socket.end();
    await until(
      'the end is counted',
      async () => (await cluster.status()).workers[0].connections.active === 0,
    );
  });

  it('is independent of another one in the same script', async () => {
    const ports = [await freePort(), await freePort()];
    const [one, other] = [
      await start(patient().server, { port: ports[0] }),
      await start(patient().server, { port: ports[1] }),
    ];
    assert.strictEqual((await request(ports[0])).body, 'hello');
    assert.strictEqual((await one.status()).totals.requests, 1);
    await one.shutdown({ wait: true });
    const client = new Connection(ports[1]);
    await client.say(GET, 'hello');
    assert.match(client.received, /connection: keep-alive/i);
    const { connections, timedOut, requests } = (await other.status()).totals;
    assert.deepStrictEqual(
      { connections, timedOut, requests },
      { connections: 1, timedOut: 0, requests: 1 },
    );
  });

  it('emits heartbeat', async () => {
    const cluster = await start(patient().server, {
      port: await freePort(),
      heartbeatInterval: 20,
    });
    const [stats] = await within('a heartbeat', once(cluster, 'heartbeat'));
    assert.strictEqual(stats.workers[0].pid, process.pid);
  });

  it('ends idle connections after the option timeout', async () => {
    const port = await freePort();
    const cluster = await start(patient().server, { port, timeout: 100 });
    await new Connection(port).isClosed();
    assert.strictEqual((await cluster.status()).totals.timedOut, 1);
  });
});

describe('a single process that cannot listen', () => {
  let owner;
  let port;
  beforeEach(async () => {
    port = await freePort();
    owner = http.createServer().listen(port, '0.0.0.0');
    await once(owner, 'listening');
  });
  afterEach(() => new Promise((resolve) => owner.close(resolve)));

  it('emits error, and closes its other ports', async () => {
    const first = await freePort();
    await assert.rejects(start(patient().server, { port: [first, port] }), {
      name: 'ClusterError',
      code: 'CLUSTER2_ERR_PORT_IN_USE',
      message: `address 0.0.0.0:${port} is already in use`,
    });
    await refused(first);
  });

  it('prints one line and exits with 255 if error has no listener', async () => {
    const script = new Script('single-shutdown.js', { options: { port } });
    assert.deepStrictEqual(await script.ended(), { code: 255, signal: null });
    assert.strictEqual(
      script.untimed,
      `cluster2: address 0.0.0.0:${port} is already in use (CLUSTER2_ERR_PORT_IN_USE)\n`,
    );
  });

  it('emits error for an invalid app', async () => {
    await assert.rejects(start({ not: 'an app' }, { port }), {
      name: 'TypeError',
      code: 'CLUSTER2_ERR_APP_INVALID',
    });
  });
});
