'use strict';

// When a socket or an HTTP/2 stream ends, seen without a listener: an app counts those of `close`, and may remove them all.
// Both come to their end through `_destroy`, which is called once. What always holds: who asked is told once.

const net = require('node:net');
const { ENDED } = require('../symbols');

/** Wraps the `_destroy` that the prototype has itself. */
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

// An HTTP/2 stream of a server is of a class that Node does not show, whose parent class has the method.
function ownerOf(stream) {
  if (stream instanceof net.Socket) return net.Socket.prototype;
  const parent = Object.getPrototypeOf(Object.getPrototypeOf(stream));
  return typeof stream.pushStream === 'function' && Object.hasOwn(parent, '_destroy') ? parent : undefined;
}

/**
 * Calls `ended` with the stream as `this` when it is destroyed.
 * @param {stream.Duplex} stream not destroyed yet
 * @param {Function} ended one function for many streams costs each of them no more than a property
 */
function onEnd(stream, ended) {
  const owner = ownerOf(stream);
  // Whatever else an app passes to a server as a connection: to change its class would be worse than a listener.
  if (owner === undefined) return stream.once('close', ended);
  wrap(owner);
  const other = stream[ENDED];
  const both = function () {
    other.call(this);
    ended.call(this);
  };
  stream[ENDED] = other === undefined ? ended : both;
}

/** Tells the end of a stream that is over for this process, but will not be destroyed. */
function tellEnd(stream) {
  const ended = stream[ENDED];
  stream[ENDED] = undefined;
  ended?.call(stream);
}

module.exports = { onEnd, tellEnd };
