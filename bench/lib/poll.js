'use strict';

const { setTimeout: pause } = require('node:timers/promises');

// Asks `check` again and again until it answers something truthy, and gives that back.
// The deadline is an error that says what was waited for.
async function until(what, deadlineMs, check, everyMs = 25) {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const answer = await check();
    if (answer) return answer;
    if (performance.now() >= deadline) throw new Error(`${what}: not within ${deadlineMs / 1000} s`);
    await pause(everyMs);
  }
}

module.exports = { until };
