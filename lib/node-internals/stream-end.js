'use strict';

// When a socket or an HTTP/2 stream ends, without a listener: an app counts those of `close`, and
// may remove them all. Both end through `_destroy`, which Node calls once
// (lib/internal/streams/destroy.js, lib/internal/http2/core.js, `Http2Stream`). Read in Node 18.7
// to 26.

const net = require('node:net');
const { ENDED } = require('../symbols');

/** Wraps the prototype's own `_destroy`. */
function wrap(prototype) {
  const { _destroy } = prototype;
  if (_destroy[ENDED]) return;
  function destroyTold(error, callback) {
    this[ENDED]?.();
    return Reflect.apply(_destroy, this, [error, callback]);
  }
  destroyTold[ENDED] = true;
  prototype._destroy = destroyTold;
}

// An HTTP/2 stream of a server is of a class that Node does not show; its parent class has the
// method.
function ownerOf(stream) {
  if (stream instanceof net.Socket) return net.Socket.prototype;
  const parent = Object.getPrototypeOf(Object.getPrototypeOf(stream));
  const isHttp2 = typeof stream.pushStream === 'function';
  return isHttp2 && Object.hasOwn(parent, '_destroy') ? parent : undefined;
}

/**
 * Calls `ended` with the stream as `this` when it is destroyed, once.
 * @param {stream.Duplex} stream not destroyed yet
 * @param {Function} ended one function for many streams costs each of them no more than a property
 */
function onEnd(stream, ended) {
  const owner = ownerOf(stream);
  // An app may pass any stream to a server as a connection. Changing its class would be worse than
  // a listener.
  if (owner === undefined) return stream.once('close', ended);
  wrap(owner);
  const other = stream[ENDED];
  const both = function () {
    other.call(this);
    ended.call(this);
  };
  stream[ENDED] = other === undefined ? ended : both;
}

/**
 * Calls what waits for the end of a stream that this process is done with, but will not destroy.
 */
function tellEnd(stream) {
  const ended = stream[ENDED];
  stream[ENDED] = undefined;
  ended?.call(stream);
}

module.exports = { onEnd, tellEnd };
