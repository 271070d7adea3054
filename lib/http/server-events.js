'use strict';

// Observes what the servers of this process emit, without a listener: one may switch something on
// in Node (`request` on an http2 server does), and an app can count and remove listeners. So one
// `emit` stands before that of all servers, as long as there is an observer. What always holds: a
// server emits what it would emit without us, to the same listeners, once.

const net = require('node:net');
const { HELD } = require('../symbols');

/**
 * @typedef {object} Observer
 * @property {(server: net.Server, event: string, first: *, emitted: Array) => *} before called
 *   before the listeners of an event, with its first argument, and all that was emitted
 * @property {(server: net.Server, event: string, first: *) => void} [after] called when they have
 *   returned
 */

const observers = new Set();
/** The events that are observed. */
const OBSERVED = new Set([
  'connection', 'secureConnection', 'session', 'stream', 'listening', 'error', 'close',
]);
const { prototype } = net.Server;
/** The `emit` before ours: that of Node, or of a tracer. */
let { emit } = prototype;
let replaced;
let isInstalled = false;

// A function of its own: here V8 makes no object of `arguments`, which each request would need.
function observedEmit(event) {
  const next = event !== 'request' && OBSERVED.has(event) ? emitObserved : emit;
  return Reflect.apply(next, this, arguments);
}

function emitObserved(...emitted) {
  const [event, first] = emitted;
  for (const observer of observers) {
    if (observer.before(this, event, first, emitted) === HELD) return true;
  }
  try {
    return Reflect.apply(emit, this, emitted);
  } finally {
    for (const observer of observers) observer.after?.(this, event, first);
  }
}

/** Emits an event that was held. */
function emitLate(server, emitted) {
  return Reflect.apply(emit, server, emitted);
}

/**
 * Lets an observer see all servers of this process.
 * @param {Observer} observer
 * @returns {() => void} ends it
 */
function observe(observer) {
  if (!isInstalled) install();
  observers.add(observer);
  return () => {
    observers.delete(observer);
    if (observers.size === 0) uninstall();
  };
}

// Not enumerable, as methods of classes are. A tracer that wraps `emit` later calls this one.
function install() {
  isInstalled = true;
  ({ emit } = prototype);
  const own = Object.getOwnPropertyDescriptor(prototype, 'emit');
  const hidden = { configurable: true, writable: true, enumerable: false };
  Object.defineProperty(prototype, 'emit', { ...hidden, ...own, value: observedEmit });
  replaced = own;
}

// A tracer that has wrapped it meanwhile goes on calling it: it has no observers then.
function uninstall() {
  if (prototype.emit !== observedEmit) return;
  if (replaced === undefined) delete prototype.emit;
  else Object.defineProperty(prototype, 'emit', replaced);
  isInstalled = false;
}

module.exports = { emitLate, observe };
