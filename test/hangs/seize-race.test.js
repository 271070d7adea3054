'use strict';

// Clients of all kinds, while workers are stuck again and again and others serve their idle
// connections: nothing is lost, doubled, torn, or answered to another request. `test/long/seize`
// does the same with connections that are taken at any moment.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { freePort } = require('../helpers/ports');
const { race } = require('../helpers/race');

describe('a race of clients with workers that are stuck again and again', () => {
  const WHERE = {
    'a port': freePort,
    'a unix socket': () => path.join(fs.mkdtempSync('/tmp/cluster2-race-'), 's'),
  };
  for (const [what, where] of Object.entries(WHERE)) {
    it(`loses and doubles nothing, at ${what}`, async () => {
      const { moved } = await race(await where(), { clients: 24, time: 2000 });
      assert.ok(moved > 0, 'idle connections were taken');
    }).timeout(90_000);
  }
});
