'use strict';

/**
 * Milliseconds on the clock that nobody sets, the one of the core's `Beat` too. `performance.now()` would do, but has Node load
 * a third of a megabyte in each worker.
 */
function now() {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}

module.exports = { now };
