'use strict';

// The examples of frameworks: a copy of each is started with two workers, reloaded and shut down
// under load.

const assert = require('node:assert');
const { selfSigned } = require('../helpers/certificate');
const { Clients } = require('../helpers/clients');
const { Example, setUp, tearDown } = require('../helpers/examples');

const secure = selfSigned();
const PEM = { 'key.pem': secure.key, 'cert.pem': secure.cert };
const express = (version, execArgv = []) => ({
  modules: { express: `express${version}` },
  execArgv,
});
/** For old frameworks, whose deprecated APIs of Node would print warnings on standard error. */
const OLD = ['--no-deprecation'];
/**
 * The clients of some protocols keep the connection that they open when an old worker leaves. The
 * new worker has this time, in milliseconds, to finish its start. Then it gets some of them.
 */
const KEEPING = { minReadyTime: 1000 };

/** For each example: how it is started, and its clients. */
const EXAMPLES = {
  net: ['tcp-server.js', {}, 'net'],
  http: ['http-server.js'],
  https: ['https/server.js', { files: PEM }, 'https'],
  http2: ['http2/server.js', { files: PEM, ...KEEPING }, 'http2'],
  'Express 2': ['express/express-server.js', express(2, OLD)],
  'Express 3': ['express/server.js', express(3, OLD)],
  'Express 4': ['express/server.js', express(4)],
  'Express 5': ['express/server.js', express(5)],
  Connect: ['connect/server.js'],
  Koa: ['koa/server.js'],
  Fastify: ['fastify/server.js'],
  Hapi: ['hapi/server.js'],
  Nest: ['nest/server.ts'],
  ws: ['ws/server.js', KEEPING, 'ws'],
  'Socket.IO': ['socket.io/server.js', KEEPING, 'socket.io'],
  Hono: ['hono/server.mjs'],
};

describe('the example of', function () {
  // Some frameworks need seconds of processor time for each worker. Each wait has its own deadline.
  this.timeout(60_000);
  before(setUp);
  after(tearDown);

  for (const [name, [file, settings, protocol = 'http']] of Object.entries(EXAMPLES)) {
    it(`${name} runs in both workers, loses no request in a reload, and exits with 0`, async () => {
      const example = await Example.start(file, { noWorkers: 2, ...settings });
      const clients = new Clients(protocol, example.port, { ca: secure.cert });
      await example.reloadsUnder(clients);
      await example.endsWell();
    });
  }

  it('Hapi ends each worker that has nothing left to do', async () => {
    const example = await Example.start('hapi/server.js', { noWorkers: 2 });
    const workers = (await example.status()).workers.map(({ pid }) => pid);
    example.script.kill('SIGTERM');
    await example.script.ended();
    const stopped = example.script.output.match(/^\d+(?= has stopped$)/gm).map(Number);
    assert.deepStrictEqual(stopped.filter((pid) => workers.includes(pid)).sort(), workers.sort());
  });

  it('Socket.IO keeps each long-polling client on one worker, and uses both workers', async () => {
    const example = await Example.start('socket.io/server.js', { noWorkers: 2 });
    const clients = new Clients('socket.io', example.port);
    await example.bothServe();
    const enough = () => clients.all.every(({ answered }) => answered >= 20);
    await example.script.until('each client has asked often', enough);
    await clients.stop();
    assert.deepStrictEqual(
      clients.all.map(({ connects }) => connects),
      clients.all.map(() => 1),
    );
    assert.deepStrictEqual(
      clients.all.map(({ answers }) => answers.size),
      clients.all.map(() => 1),
      'each from one worker',
    );
  });
});
