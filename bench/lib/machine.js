'use strict';
// Where the numbers come from. No host name and no path: a report may be published.

const os = require('node:os');
const { version: cluster2 } = require('../../package.json');
const pm2 = require('./pm2');
const watt = require('./watt');
const nginx = require('./nginx');
const wrk = require('./wrk');

function describeMachine() {
  return {
    cores: os.availableParallelism?.() ?? os.cpus().length, // the former from Node 18.14 on
    cpu: os.cpus()[0]?.model ?? 'unknown CPU',
    memoryGb: Math.round(os.totalmem() / 2 ** 30),
    kernel: os.release(),
  };
}

// Only of what takes part.
async function describeVersions({ usesWrk, usesPm2, usesWatt, usesNginx }) {
  return {
    cluster2,
    node: process.version,
    ...(usesWrk && { wrk: await wrk.version() }),
    ...(usesPm2 && { pm2: pm2.VERSION }),
    ...(usesWatt && { watt: watt.VERSION, wattNode: watt.wattNode().found }),
    ...(usesNginx && { nginx: await nginx.version() }),
  };
}

module.exports = { describeMachine, describeVersions };
