'use strict';

// Commands to a cluster that runs in another process, found through its `pids` directory.

const { native } = require('./errors');
const addon = require('./native');

/**
 * Waits for as long as the running cluster's own limits let it take, and its master lives.
 * @param {string} pids the directory
 * @param {{ command: string }} command `Command` of `src/protocol/control.rs`
 */
async function ask(pids, command) {
  return JSON.parse(await native(() => addon.ask(pids, JSON.stringify(command))));
}

module.exports = { ask };
