'use strict';

// After each test: ends everything it started, and checks that nothing is left in this process.

const assert = require('node:assert');
const fs = require('node:fs');
const { stopAll: stopClients } = require('./clients');
const { cleanUpAll, childrenOf } = require('./cluster');
const { stopAll: stopHammers } = require('./hammer');
const { stopAll: stopLoad } = require('./load');
const { freePort } = require('./ports');
const { stopAll: stopTools } = require('./tools');
const { until } = require('./wait');

const descriptors = () => fs.readdirSync('/proc/self/fd').length;

let before;

exports.mochaHooks = {
  async beforeAll() {
    // With the first stream of a process, libuv opens a spare descriptor and keeps it.
    await freePort();
  },
  beforeEach() {
    before = descriptors();
  },
  async afterEach() {
    await cleanUpAll();
    await stopHammers();
    await stopLoad();
    await stopClients();
    await stopTools();
    assert.deepStrictEqual(childrenOf(process.pid), [], 'processes are left behind');
    // Client sockets close a moment after their test.
    await until('all descriptors of the test are closed', () => descriptors() <= before, 2000);
  },
};
