'use strict';

// Observes what the servers of this process emit, without a listener: one may switch something on
// in Node (`request` on an http2 server does), and an app can count and remove listeners. So an
// `emit` of ours stands before that of all servers, as long as there is an observer. A tracer, a
// class of the app or a server may have an `emit` of its own, which does not always call ours: not
// if it was there first. So another one of ours stands before that. What always holds: a server
// emits what it would emit without us, to the same listeners, once; and observers learn of it once.

const http = require('node:http');
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
/** In the order in which they came. */
const hooks = new Set();
/** Functions of ours that are the `emit` of an object. */
const ours = new WeakSet();
/** What is emitted right now, and was observed by that hook. */
let underWay;

const BASE = net.Server.prototype;

// Not enumerable where it is new, as methods of classes are.
function define(owner, value) {
  const { enumerable = false } = Object.getOwnPropertyDescriptor(owner, 'emit') ?? {};
  Object.defineProperty(owner, 'emit', { value, enumerable, configurable: true, writable: true });
  ours.add(value);
}

// What an object inherits can be replaced later: `domain` replaces the `emit` of all emitters.
function emitOf(owner) {
  const own = Object.getOwnPropertyDescriptor(owner, 'emit')?.value;
  if (own !== undefined) return () => own;
  const parent = Object.getPrototypeOf(owner);
  return () => parent.emit;
}

/** Our `emit` before that of a server, or of a class of servers. */
class EmitHook {
  owner;
  #replaced;
  #value;
  /** Returns the `emit` before ours: that of Node, or of a tracer. */
  #emitBehind;

  constructor(owner) {
    this.owner = owner;
    this.#replaced = Object.getOwnPropertyDescriptor(owner, 'emit');
    this.#emitBehind = emitOf(owner);
    define(owner, (this.#value = this.#make()));
    hooks.add(this);
  }

  #make() {
    const emitBehind = this.#emitBehind;
    const emitObserved = (server, emitted) => this.#emitObserved(server, emitted);
    const observed = function (...emitted) {
      return emitObserved(this, emitted);
    };
    // A function of its own: here V8 makes no object of `arguments`, which each request would need.
    return function observedEmit(event) {
      const isObserved = event !== 'request' && OBSERVED.has(event);
      return Reflect.apply(isObserved ? observed : emitBehind(), this, arguments);
    };
  }

  #emitObserved(server, emitted) {
    if (isUnderWay(server, emitted)) {
      // Another one is not needed: what it stands before comes to this one.
      if (underWay.hook !== this) underWay.hook.remove();
      return Reflect.apply(this.#emitBehind(), server, emitted);
    }
    const [event, first] = emitted;
    for (const observer of observers) {
      if (observer.before(server, event, first, emitted) === HELD) return true;
    }
    try {
      return this.emitUnobserved(server, emitted);
    } finally {
      for (const observer of observers) observer.after?.(server, event, first);
      // One that never listens again must not be kept.
      if (event === 'close' && server === this.owner) this.remove();
    }
  }

  /** Emits what the observers know of already. */
  emitUnobserved(server, emitted) {
    const outer = underWay;
    underWay = { server, emitted, hook: this };
    try {
      return Reflect.apply(this.#emitBehind(), server, emitted);
    } finally {
      underWay = outer;
    }
  }

  // A tracer that has wrapped it meanwhile goes on calling it: it has no observers then.
  remove() {
    if (Object.getOwnPropertyDescriptor(this.owner, 'emit')?.value !== this.#value) return;
    if (this.#replaced === undefined) delete this.owner.emit;
    else Object.defineProperty(this.owner, 'emit', this.#replaced);
    hooks.delete(this);
  }
}

function isUnderWay(server, [event, first]) {
  if (underWay === undefined || underWay.server !== server) return false;
  const { emitted } = underWay;
  return emitted[0] === event && emitted[1] === first;
}

/**
 * The objects from a server, or a class of servers, up to Node's `net.Server`; none if it is not of
 * that class, as HTTP servers of Bun.
 */
function chainOf(server) {
  const chain = [];
  for (let owner = server; owner; owner = Object.getPrototypeOf(owner)) {
    chain.push(owner);
    if (owner === BASE) return chain;
  }
  return [];
}

/** Whether an object has an `emit` that may not come to ours. */
function isForeign(owner) {
  if (owner === BASE) return !ours.has(BASE.emit);
  const { value, configurable } = Object.getOwnPropertyDescriptor(owner, 'emit') ?? {};
  return configurable && typeof value === 'function' && !ours.has(value);
}

/**
 * Lets observers see a server whose `emit`, or that of its class, may not come to ours. Before it
 * listens.
 */
function reach(server) {
  if (observers.size === 0) return;
  for (const owner of chainOf(server)) if (isForeign(owner)) new EmitHook(owner);
}

/** Puts an `emit` before that of one server. `make` gets what returns the latter. */
function emitBefore(server, make) {
  reach(server);
  define(server, make(emitOf(server)));
}

/** Emits an event that was held. */
function emitLate(server, emitted) {
  const all = [...hooks].reverse();
  const of = (owner) => all.find((hook) => hook.owner === owner);
  const owner = chainOf(server).find(of);
  if (owner === undefined) return Reflect.apply(BASE.emit, server, emitted);
  return of(owner).emitUnobserved(server, emitted);
}

/**
 * Lets an observer see all servers of this process.
 * @param {Observer} observer
 * @returns {() => void} ends it
 */
function observe(observer) {
  observers.add(observer);
  [BASE, http.Server.prototype].forEach(reach);
  return () => {
    observers.delete(observer);
    if (observers.size > 0) return;
    for (const hook of [...hooks].reverse()) hook.remove();
  };
}

module.exports = { emitBefore, emitLate, observe, reach };
