'use strict';

/** The beginning of a text that somebody else wrote, for a report: at most `limit` characters, and none of them cut in half. */
function shorten(text, limit = 500) {
  return Buffer.from(String(text).slice(0, limit)).toString();
}

module.exports = { shorten };
