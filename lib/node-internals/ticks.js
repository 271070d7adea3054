'use strict';

// What Node runs after each callback that it makes: the ticks and promises that were asked for.
// lib/internal/bootstrap/node.js, lib/internal/process/task_queues.js (`runNextTicks`); timers call
// it between two of them. Read in Node 18.7 to 26.

const { _tickCallback: runNextTicks } = process;

/** Runs the ticks and promises that wait, as between two callbacks. Throws what they throw. */
function runTicks() {
  runNextTicks?.call(process);
}

module.exports = { runTicks };
