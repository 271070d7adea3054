'use strict';

// Clients of the health check on HTTP/2 that are gone before they have their answer.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const path = require('node:path');
const { NODE } = require('../helpers/node');

const FIXTURE = path.join(__dirname, '..', 'fixtures', 'gone-checks.js');

/** Ends a process that serves such a client. Throws if the process ends by an error. */
const serve = (how) =>
  execFileSync(NODE, [FIXTURE, how], { encoding: 'utf8', timeout: 10_000 }).trim();

describe('an HTTP/2 client of the health check that', () => {
  for (const [what, how] of Object.entries({
    'destroys its session': 'destroy',
    'ends its session with an error': 'goaway',
    'resets its stream': 'reset',
    'resets its stream before the server has read of it': 'early',
  })) {
    it(`${what} costs nothing but its answer`, () => assert.strictEqual(serve(how), 'DISABLED'));
  }
});
