'use strict';

const { describeUncaught } = require('../errors');

/**
 * Reports why this process is about to end, for a start that waits for it.
 * @param {LastLines} [lastLines] of a worker that was ready. Before, the reason of a failed start
 *   has the error, and the lines before it.
 */
function reportUncaught(session, error, lastLines) {
  try {
    session.report({ type: 'lastWords', words: describeUncaught(error) });
    lastLines?.addError(error);
  } catch {
    // The error itself is what matters, and Node prints it.
  }
}

module.exports = { reportUncaught };
