'use strict';

// Commands to a cluster that runs in another process, found through its `pids` directory.

const { native } = require('./errors');

/**
 * Waits for as long as the running cluster's own limits let it take, and its master lives.
 * @param {string} pids the directory
 * @param {{ command: string }} command `Command` of `src/protocol/control.rs`
 */
async function ask(pids, command) {
  const addon = require('./native-main');
  return JSON.parse(await native(() => addon.ask(pids, JSON.stringify(command))));
}

module.exports = { ask };
