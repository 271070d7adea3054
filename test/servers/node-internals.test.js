'use strict';

// What Node knows of HTTP/1 connections, on each Node: which are idle, and which still speak HTTP.
// Reading it does not change them.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const path = require('node:path');
const { selfSigned } = require('../helpers/certificate');
const { NODE } = require('../helpers/node');

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
