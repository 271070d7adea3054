'use strict';

/** The beginning of a text that somebody else wrote, for a report: at most `limit` characters, and none of them cut in half. */
function shorten(text, limit = 500) {
  return Buffer.from(String(text).slice(0, limit)).toString();
}

/** What was thrown, in words: it may be anything, also what cannot be made a text. */
function describe(thrown) {
  try {
    return shorten(thrown?.message ?? thrown);
  } catch {
    return 'something that has no words';
  }
}

module.exports = { describe, shorten };
