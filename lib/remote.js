'use strict';

// Commands to a cluster that runs in another process, found through its `pids` directory.

const { fromNative } = require('./errors');
const addon = require('./native');

/** What a shutdown may take beyond its own limit before nobody waits for it any more, milliseconds. */
const MARGIN = 5000;

/**
 * @param {string} pids the directory
 * @param {{ command: string }} command `Command` of `src/ipc/control.rs`
 * @param {number} shutdownTimeout milliseconds
 */
async function ask(pids, command, shutdownTimeout) {
  try {
    return JSON.parse(await addon.ask(pids, JSON.stringify(command), shutdownTimeout + MARGIN));
  } catch (error) {
    throw fromNative(error);
  }
}

module.exports = { ask };
