'use strict';

// Next.js with standalone output. Apart from the other frameworks, since it takes 340 MB: `npm run test:frameworks` installs and
// builds it anew, from its own lock file.

const assert = require('node:assert');
const path = require('node:path');
const { request } = require('../helpers/client');
const { Clients } = require('../helpers/clients');
const { Example, setUp, tearDown } = require('../helpers/examples');
const { INSTALL, install, npm } = require('../helpers/own-packages');

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

  it('is served by both workers from its standalone output, loses no request when it is reloaded, and ends with code 0', async () => {
    const directory = path.join(home, 'next', '.next', 'standalone');
    const example = await Example.start('next/cluster.js', { modules: {}, noWorkers: 2, directory });
    const clients = new Clients('http', example.port, { expected: /<p>hello from \d+<\/p>/ });
    for (let i = 0; i < 2; i++) {
      await example.bothServe();
      await example.reload();
    }
    await example.bothServe();
    await clients.stop();
    assert.deepStrictEqual(clients.troubles, []);
    assert.strictEqual((await request(example.port, '/missing')).status, 404);
    await example.endsWell();
  });
});
