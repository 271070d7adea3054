'use strict';

// Commands to a cluster that runs in another process, found through its `pids` directory.

const { fromNative } = require('./errors');
const addon = require('./native');

/** What a shutdown or a reload may take beyond its own limit before nobody waits for it any more, milliseconds. */
const MARGIN = 5000;

/**
 * @param {string} pids the directory
 * @param {{ command: string }} command `Command` of `src/ipc/control.rs`
 * @param {object} config the options: how long a shutdown or a reload may take
 */
async function ask(pids, command, { shutdownDelay, shutdownTimeout, startTimeout, noWorkers }) {
  try {
    const leave = shutdownDelay + (command.wait ? shutdownTimeout : 0);
    const limit = command.command === 'reload' ? noWorkers * startTimeout : leave;
    return JSON.parse(await addon.ask(pids, JSON.stringify(command), Math.min(limit + MARGIN, 0xffffffff)));
  } catch (error) {
    throw fromNative(error);
  }
}

module.exports = { ask };
