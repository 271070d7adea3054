'use strict';

// The end of an HTTP/2 session (lib/internal/http2/core.js, `Http2Session`, `kMaybeDestroy`). Read
// in Node 18.7 to 26.

let maybeDestroyKey;

function keyIn(prototype) {
  if (prototype === null) return undefined;
  const isKey = ({ description }) => description === 'kMaybeDestroy';
  return Object.getOwnPropertySymbols(prototype).find(isKey) ??
    keyIn(Object.getPrototypeOf(prototype));
}

/**
 * Has a session end a turn of the event loop after its last stream, when it is closed, by its
 * client or by this process. Node 18 ends it within the end of that stream, while nghttp2 is about
 * to send, and drops what was not sent yet. Later versions do as this function does.
 */
function endAfterStreams(session) {
  maybeDestroyKey ??= keyIn(Object.getPrototypeOf(session));
  const maybeDestroy = session[maybeDestroyKey];
  if (typeof maybeDestroy !== 'function') return;
  const value = function (error) {
    if (error !== null && error !== undefined) return maybeDestroy.call(this, error);
    if (this.closed) setImmediate(() => maybeDestroy.call(this));
    return undefined;
  };
  const hidden = { configurable: true, writable: true, enumerable: false };
  Object.defineProperty(session, maybeDestroyKey, { ...hidden, value });
}

module.exports = { endAfterStreams };
