'use strict';

// A connection's handle without a connection, for the warm-up of a spare: it takes all that is
// written, and reads nothing. The methods that `net.Socket` calls on a handle: lib/net.js,
// lib/internal/stream_base_commons.js. Read in Node 18.7 to 26.

const done = () => 0;

class NullHandle {
  /** Node calls it for what it has asked for; nothing ever comes of that. */
  close() {}
  ref() {}
  unref() {}
}

const METHODS = [
  'readStart', 'readStop', 'shutdown', 'setNoDelay', 'setKeepAlive',
  'writeBuffer', 'writeLatin1String', 'writeUtf8String', 'writev',
];
for (const method of METHODS) NullHandle.prototype[method] = done;

module.exports = { NullHandle };
