'use strict';

// What Node knows of HTTP/1 connections, on each Node: which are idle, and which still speak HTTP.
// Reading it does not change them.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const path = require('node:path');
const { selfSigned } = require('../helpers/certificate');
const { NODE } = require('../helpers/node');
const internals = require('../../lib/node-internals');

const EACH = path.join(__dirname, '..', 'fixtures', 'node-internals', 'run.js');
const FIXTURE = path.join(__dirname, '..', 'fixtures', 'idle-connections.js');
const HTTP = ['fresh', 'between', 'halfHead', 'secondHalfHead', 'halfBody', 'answering'];
const secure = JSON.stringify(selfSigned());

function ask({ args = [], env = {} } = {}) {
  return JSON.parse(
    execFileSync(NODE, [FIXTURE, ...args], {
      encoding: 'utf8',
      env: { ...process.env, ...env },
      timeout: 9000,
    }),
  );
}

describe('the idle HTTP/1 connections', () => {
  for (const [what, settings] of Object.entries({ http: {}, https: { env: { TLS: secure } } })) {
    it(`are between or before messages, whatever the app did to them: ${what}`, () => {
      assert.deepStrictEqual(ask(settings), {
        idle: ['fresh', 'between'],
        http: HTTP,
        kept: true,
        destroyed: 0,
      });
    });
  }

  it('are found on a Node without a list of them too, and keep the app’s `destroy`', () => {
    assert.deepStrictEqual(ask({ args: ['blind'] }), {
      idle: ['fresh', 'between'],
      http: HTTP,
      kept: true,
      destroyed: 0,
    });
  });
});

describe('each function of lib/node-internals.js', () => {
  let results;
  before(() => {
    const env = { ...process.env, TLS: secure };
    results = JSON.parse(execFileSync(NODE, [EACH], { encoding: 'utf8', env, timeout: 20_000 }));
  });

  for (const name of Object.keys(internals)) {
    it(`${name} does on this Node what it says`, () => assert.strictEqual(results[name], true));
  }
});
