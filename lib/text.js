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

/** An error that nobody caught, as the last words of its process, with the place where it is. */
function lastWords(error) {
  // The stack of a SyntaxError begins with the place and not with the message.
  const [first] = String(error?.stack ?? '').split('\n');
  const message = String(error);
  return shorten(first && !first.startsWith(message.split('\n')[0]) ? `${message} (${first})` : message);
}

module.exports = { describe, lastWords, shorten };
