'use strict';

// Next.js with standalone output. It is apart from the other frameworks since it takes 340 MB: `npm
// run test:frameworks` installs and builds it from its own lock file.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { cluster2 } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { Clients } = require('../helpers/clients');
const { Script } = require('../helpers/cluster');
const { Example, setUp, tearDown } = require('../helpers/examples');
const { INSTALL, install, npm } = require('../helpers/own-packages');
const { freePort } = require('../helpers/ports');

describe('the example of Next.js', () => {
  let home;

  before(function () {
    this.timeout(INSTALL);
    home = setUp();
    const app = path.join(home, 'next');
    install(path.join(__dirname, '..', '..', 'examples', 'next'), app);
    npm(app, 'run', 'build');
  });
  after(function () {
    this.timeout(INSTALL);
    tearDown();
  });

  it('runs from its standalone output, loses no request in a reload, exits with 0', async () => {
    const directory = path.join(home, 'next', '.next', 'standalone');
    const example = await Example.start('next/cluster.js', {
      modules: {},
      noWorkers: 2,
      directory,
    });
    const clients = new Clients('http', example.port, { expected: /<p>hello from \d+<\/p>/ });
    await example.reloadsUnder(clients);
    assert.strictEqual((await request(example.port, '/missing')).status, 404);
    await example.endsWell();
  });

  it('runs under `cluster2 start server.js`, and loses no request in a reload', async () => {
    const server = path.join(home, 'next', '.next', 'standalone', 'server.js');
    const cwd = fs.mkdtempSync(path.join(home, 'run-'));
    const cli = ['--workers', '2', '--mon-port', 'off'];
    const script = await new Script(server, {
      cwd,
      port: await freePort(),
      cli,
      env: { HOSTNAME: '127.0.0.1' },
    }).ready();
    const clients = new Clients('http', script.port, { expected: /<p>hello from \d+<\/p>/ });
    await script.until('each client was answered', () =>
      clients.all.every(({ answered }) => answered > 0),
    );
    assert.deepStrictEqual(
      [cluster2(cwd, 'reload').status, cluster2(cwd, 'reload').status],
      [0, 0],
    );
    await script.until('the old workers are gone', () => script.workers().length === 2);
    await clients.stop();
    assert.deepStrictEqual(clients.troubles, []);
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
  });
});
