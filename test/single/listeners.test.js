'use strict';

// `cluster: false`: connections that were accepted before a shutdown are served; and a shutdown
// before the app listens.

const assert = require('node:assert');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const Cluster = require('../..');
const { Connection, request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { until, within } = require('../helpers/wait');

const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
const hello = () => http.createServer((_, response) => response.end('hello'));

describe('shutdown() of a single process', () => {
  for (const kind of ['TCP', 'a unix socket']) {
    it(`serves the kernel's queue when it begins, and nothing later: on ${kind}`, async () => {
      const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));
      const port = kind === 'TCP' ? await freePort() : path.join(directory, 'app.sock');
      const cluster = new Cluster({ cluster: false, monPort: false, port });
      await new Promise((listening) => cluster.listen((callback) => callback(hello()), listening));
      const clients = Array.from({ length: 20 }, () => new Connection(port));
      for (const { socket } of clients) socket.write(GET);
      // By now the kernel has connected them, but the event loop has not turned.
      await new Promise((resolve) => process.nextTick(resolve));
      const asked = cluster.shutdown({ wait: true });
      await Promise.all(clients.map((client) => client.hears('hello')));
      await within('it is over', asked);
      await assert.rejects(request(port), { code: kind === 'TCP' ? 'ECONNREFUSED' : 'ENOENT' });
      fs.rmdirSync(directory);
    });
  }

  it('resolves when the address is free again, while a request is still answered', async () => {
    const port = await freePort();
    const held = [];
    const app = http.createServer((_, response) => held.push(response));
    const cluster = new Cluster({ cluster: false, monPort: false, port });
    await new Promise((listening) => cluster.listen((callback) => callback(app), listening));
    const asked = request(port);
    await until('the request is there', () => held.length === 1);
    await within('new connections are refused', cluster.shutdown());
    const next = hello().listen(port, '0.0.0.0');
    await once(next, 'listening');
    held[0].end('held');
    assert.strictEqual((await asked).body, 'held');
    assert.strictEqual((await request(port)).body, 'hello');
    await Promise.all([
      cluster.shutdown({ wait: true }),
      new Promise((closed) => next.close(closed)),
    ]);
  });

  it('leaves a unix socket alone that another server has taken over', async () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));
    const [port, socket] = [await freePort(), path.join(directory, 'app.sock')];
    const first = hello();
    const apps = [{ app: first, port: socket }, { app: hello(), port }];
    const cluster = new Cluster({ cluster: false, monPort: false });
    await new Promise((listening) => cluster.listen((callback) => callback(apps), listening));
    await new Promise((closed) => first.close(closed));
    const next = hello().listen(socket);
    await once(next, 'listening');
    await within('it is over', cluster.shutdown({ wait: true }));
    assert.strictEqual((await request(socket)).body, 'hello');
    await new Promise((closed) => next.close(closed));
    fs.rmdirSync(directory);
  });

  it('by a signal ends the process, even with several clusters in it', async () => {
    const script = new Script('two-single-processes.js', {
      options: { ports: [await freePort(), await freePort()] },
    });
    await script.until('both listen', () => script.output === 'listens\nlistens\n');
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('before the app listens keeps it from listening, whatever it waits for', async () => {
    const port = await freePort();
    const isReady = {};
    isReady.promise = new Promise((resolve) => (isReady.resolve = resolve));
    const server = hello();
    // As Fastify, whose start may take some time.
    const app = { ready: () => isReady.promise, inject() {}, server };
    const late = {};
    const STARTS = {
      'it was just called': (callback) => callback(app),
      'there is no app yet': (callback) => (late.callback = callback),
      'there never is one': () => {},
    };
    for (const [name, create] of Object.entries(STARTS)) {
      const cluster = new Cluster({ cluster: false, monPort: false, port });
      cluster.once('error', assert.fail).listen(create, () => assert.fail('it listens'));
      if (name === 'it was just called') await new Promise(setImmediate);
      const asked = cluster.shutdown({ wait: true });
      isReady.resolve();
      assert.deepStrictEqual(await within(name, asked), { running: true, pid: process.pid });
      late.callback?.(app);
      await new Promise(setImmediate);
      assert.strictEqual(server.listening, false, name);
      await assert.rejects(request(port), { code: 'ECONNREFUSED' });
      assert.deepStrictEqual((await cluster.status()).running, false);
    }
  });
});
