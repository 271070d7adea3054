'use strict';

// Signals that a script handles itself.

/**
 * How many handlers of each signal do nothing where somebody else has one: those of the package signal-exit (versions 3 and 4),
 * which many packages bring along. Each copy keeps one for each signal, and shows how many there are.
 */
function idleHandlers() {
  const copies = [process.__signal_exit_emitter__, globalThis[Symbol.for('signal-exit emitter')]];
  return copies.reduce((sum, copy) => sum + (copy?.count ?? 0), 0);
}

/**
 * Whether the script has a handler of its own for a signal, and so decides when the process ends, as it would without us.
 * @param {string} signal
 * @param {number} ours how many handlers are ours
 */
function scriptHandles(signal, ours) {
  return process.listenerCount(signal) - ours - idleHandlers() > 0;
}

module.exports = { scriptHandles };
