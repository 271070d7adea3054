'use strict';

/**
 * An error as the addon throws it (`addons/shared/src/convert.rs`), of which `lib/errors.js` makes
 * the one for users.
 */
function failure(code, message) {
  return new Error(JSON.stringify({ code, message }));
}

module.exports = { failure };
