'use strict';

// The timer of `socket.setTimeout` (lib/internal/timers.js, `kTimeout`, `Timeout`). Read in Node
// 18.7 to 26.

/** The longest time of a timer, milliseconds. */
const LONGEST = 0x7fffffff;

let timerKey;

/** The timer of `socket.setTimeout`: lib/internal/timers.js (`kTimeout`, `Timeout`). */
function timerOf(stream) {
  if (!(stream.timeout > 0)) return undefined;
  const isKey = ({ description }) => description === 'timeout';
  timerKey ??= Object.getOwnPropertySymbols(stream).find(isKey);
  const timer = timerKey && stream[timerKey];
  return timer?._idleStart === undefined ? undefined : timer;
}

/**
 * Of timers whose first run is shortened: when it started, how much had passed by then, and whether
 * it was emitted.
 */
const shortened = new WeakMap();

/**
 * The time-out of a connection.
 * @returns {{ timeout: number, passed: number, isTimedOut: boolean }} its length, 0: it has none;
 *   how much of it has passed, 0 without Node's timer; whether it is over and was emitted.
 *   Milliseconds
 */
function timeoutOf(stream) {
  const timeout = stream.timeout ?? 0;
  const timer = timerOf(stream);
  if (!timer) return { timeout, passed: 0, isTimedOut: false };
  // A timer starts by the time of Node's event loop, which only another timer tells.
  const present = setTimeout(() => {}, 1);
  clearTimeout(present);
  const run = shortened.get(timer);
  const isFirst = run?.started === timer._idleStart;
  const passed = present._idleStart - timer._idleStart + (isFirst ? run.passed : 0);
  return { timeout, passed, isTimedOut: timer._destroyed || (isFirst && run.isTimedOut) };
}

/**
 * Gives a connection a time-out (as from `timeoutOf`) that began elsewhere. Whatever moves on it
 * starts it again at its full length, as always; without Node's timer, at what was left of it.
 */
function runTimeoutOn(stream, { timeout, passed, isTimedOut }) {
  const rest = isTimedOut ? LONGEST : Math.max(1, timeout - passed);
  stream.setTimeout(timeout > 0 ? rest : 0);
  const timer = timerOf(stream);
  if (!timer) return;
  stream.timeout = timeout;
  // Its length when it starts again. Now it is in the list of those that are over after the rest.
  timer._idleTimeout = timeout;
  shortened.set(timer, { started: timer._idleStart, passed, isTimedOut });
}

module.exports = { runTimeoutOn, timeoutOf };
