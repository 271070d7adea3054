'use strict';

// Servers of frameworks, as in their own manuals, under `cluster2 start`: they do not know of a
// cluster, and a reload loses no request.

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { cluster2 } = require('../helpers/cli');
const { answersOfAll, request } = require('../helpers/client');
const { Clients } = require('../helpers/clients');
const { Script } = require('../helpers/cluster');
const { needNodeOf } = require('../helpers/node');
const { freePort } = require('../helpers/ports');

const MODULES = path.join(__dirname, '..', '..', 'node_modules');

/** Each answers `hello from <pid>`. */
const SERVERS = {
  Express: `const app = require('express5')();
    app.get('/', (request, response) => response.send('hello from ' + process.pid));
    app.listen(process.env.PORT);`,
  Fastify: `const app = require('fastify')();
    app.get('/', async () => 'hello from ' + process.pid);
    app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' });`,
  Koa: `const Koa = require('koa');
    new Koa().use((context) => (context.body = 'hello from ' + process.pid)).listen(process.env.PORT);`,
  Hapi: `const server = require('@hapi/hapi').server({ port: process.env.PORT, host: '127.0.0.1' });
    server.route({ method: 'GET', path: '/', handler: () => 'hello from ' + process.pid });
    server.start();`,
  Nest: `require('reflect-metadata');
    const { Controller, Get, Module } = require('@nestjs/common');
    const { NestFactory } = require('@nestjs/core');
    class Hello { hello() { return 'hello from ' + process.pid; } }
    Get()(Hello.prototype, 'hello', Object.getOwnPropertyDescriptor(Hello.prototype, 'hello'));
    Controller()(Hello);
    class App {}
    Module({ controllers: [Hello] })(App);
    NestFactory.create(App, { logger: false }).then((app) => app.listen(process.env.PORT));`,
  Hono: `const { serve } = require('@hono/node-server');
    serve({ fetch: () => new Response('hello from ' + process.pid), port: Number(process.env.PORT) });`,
};

describe('a framework’s server under cluster2 start', () => {
  let folder;
  before(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));
    fs.symlinkSync(MODULES, path.join(folder, 'node_modules'));
  });
  after(() => fs.rmSync(folder, { recursive: true, force: true }));

  for (const [name, text] of Object.entries(SERVERS)) {
    it(`${name} runs in both workers, loses no request in a reload, exits well`, async function () {
      needNodeOf(this, name.toLowerCase());
      const file = path.join(folder, `${name}.js`);
      fs.writeFileSync(file, text);
      const cwd = fs.mkdtempSync(path.join(folder, 'run-'));
      const script = new Script(file, {
        cwd,
        port: await freePort(),
        cli: ['--workers', '2', '--mon-port', 'off'],
      });
      await script.ready();
      const pidOf = async () => ({
        pid: Number((await request(script.port, '/')).body.match(/\d+$/)[0]),
      });
      await answersOfAll(script.workers(), pidOf);
      const clients = new Clients('http', script.port);
      assert.strictEqual(cluster2(cwd, 'reload').status, 0);
      await script.until('the old workers are gone', () => script.workers().length === 2);
      await answersOfAll(script.workers(), pidOf);
      await clients.stop();
      assert.deepStrictEqual(clients.troubles, []);
      assert.match((await request(script.port, '/ecv')).body, /^status=AVAILABLE/);
      script.kill();
      assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
    });
  }
});
