'use strict';
// How long requests waited for a worker that was blocked.

/**
 * Requests sent before the block began may have been in the worker's hands already, in the same
 * batch as the request that blocks it. They are counted apart.
 *
 * @param {{begin: number, ms: number}[]} answers when each request began, and how long it took
 * @param {number} blockedFrom by the same clock, in milliseconds
 * @param {number} lateMs a request that takes longer is late
 * @returns {{worst: number, late: number, batch: number}} of those sent meanwhile the longest time
 *   (NaN if there were none) and how many were late; how many of those sent before were late
 */
function waits(answers, blockedFrom, lateMs) {
  const isLate = ({ ms }) => ms > lateMs;
  const before = answers.filter(({ begin }) => begin < blockedFrom);
  const meanwhile = answers.filter(({ begin }) => begin >= blockedFrom);
  return {
    worst: meanwhile.reduce((worst, { ms }) => Math.max(worst, ms), meanwhile.length ? 0 : NaN),
    late: meanwhile.filter(isLate).length,
    batch: before.filter(isLate).length,
  };
}

module.exports = { waits };
