'use strict';

// What Node knows of HTTP/1 connections, on each Node: which are idle, which still speak HTTP. To
// ask leaves no trace on them.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const path = require('node:path');
const { selfSigned } = require('../helpers/certificate');
const { NODE } = require('../helpers/node');

const FIXTURE = path.join(__dirname, '..', 'fixtures', 'idle-streams.js');
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

describe('the idle ones of HTTP/1 connections', () => {
  for (const [what, settings] of Object.entries({ http: {}, https: { env: { TLS: secure } } })) {
    it(`are those between two messages and those without any, whatever the app did to their sockets: ${what}`, () => {
      assert.deepStrictEqual(ask(settings), {
        idle: ['fresh', 'between'],
        http: HTTP,
        kept: true,
        destroyed: 0,
      });
    });
  }

  it('are found on a Node that keeps no list of them, too, and `destroy` of the app is still there', () => {
    assert.deepStrictEqual(ask({ args: ['blind'] }), {
      idle: ['fresh', 'between'],
      http: HTTP,
      kept: true,
      destroyed: 0,
    });
  });
});
