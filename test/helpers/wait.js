'use strict';

// Waits for conditions, with a deadline.

const { setTimeout: sleep } = require('node:timers/promises');

const DEADLINE = 10_000;

/**
 * Calls `condition` until it returns something truthy, and returns that.
 * @param {string} what the condition, for the error message
 */
async function until(what, condition, deadline = DEADLINE) {
  const end = performance.now() + deadline;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (performance.now() > end) throw new Error(`not within ${deadline} ms: ${what}`);
    await sleep(5);
  }
}

/** Returns the promise's value. Throws an error that names `what` after the deadline. */
async function within(what, promise, deadline = DEADLINE) {
  const timer = new AbortController();
  const late = sleep(deadline, undefined, { signal: timer.signal, ref: false }).then(() => {
    throw new Error(`not within ${deadline} ms: ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
    late.catch(() => {});
  }
}

/**
 * Lets time pass. Only for tests of what happens, or must not happen, within a time; to wait for a
 * condition use `until`.
 * @param {number} ms
 * @param {string} _why what the time is for
 */
const elapse = (ms, _why) => sleep(ms);

/** Calls `action` every `ms` milliseconds, until the returned function is called. */
function every(ms, action) {
  const timer = setInterval(action, ms);
  return () => clearInterval(timer);
}

module.exports = { elapse, every, until, within };
