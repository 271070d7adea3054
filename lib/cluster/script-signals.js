'use strict';

// Signals that a script handles itself.

const { OUR_HANDLER } = require('../symbols');

/**
 * How many handlers of each signal do nothing beside others: those of the package signal-exit
 * (versions 3 and 4), which many packages bring along. Each copy keeps one for each signal, and
 * shows how many there are.
 */
function idleHandlers() {
  const copies = [process.__signal_exit_emitter__, globalThis[Symbol.for('signal-exit emitter')]];
  return copies.reduce((sum, copy) => sum + (copy?.count ?? 0), 0);
}

/** Marks a handler of ours, also for other copies of this module. */
function ours(handler) {
  return Object.assign(handler, { [OUR_HANDLER]: true });
}

/**
 * Whether the script handles a signal itself, and so decides when the process ends, as it would
 * without us.
 */
function scriptHandles(signal) {
  const others = process.listeners(signal).filter((handler) => !handler[OUR_HANDLER]);
  return others.length > idleHandlers();
}

module.exports = { ours, scriptHandles };
