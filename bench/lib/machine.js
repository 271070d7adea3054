'use strict';
// Where the numbers come from. No host name and no path: a report may be published.

const os = require('node:os');
const { version: cluster2 } = require('../../package.json');

function describeMachine() {
  return {
    cores: os.availableParallelism(),
    cpu: os.cpus()[0]?.model ?? 'unknown CPU',
    memoryGb: Math.round(os.totalmem() / 2 ** 30),
    kernel: os.release(),
  };
}

module.exports = { describeMachine, describeVersions: (wrk) => ({ cluster2, node: process.version, wrk }) };
