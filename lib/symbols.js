'use strict';

// The symbols under which we keep something on objects that are not ours. Registered ones
// (`Symbol.for`) are the same in every copy of this package that a process loads.

module.exports = {
  /** On `process`, in a worker: its session (`worker/session.js`). */
  CURRENT: Symbol.for('cluster2-rs.session'),
  /** On `process`, in a master: whether its cluster runs. */
  MASTER: Symbol.for('cluster2-rs.master'),
  /** On `process`: how many `Cluster`s without workers listen. */
  SINGLE: Symbol.for('cluster2-rs.single'),
  /** On a signal handler: it is ours, not the script's. */
  OUR_HANDLER: Symbol.for('cluster2-rs.signal-handler'),
  /** On a server that only passes its connections on: the server that gets them. */
  PASSES_ON: Symbol('cluster2-rs.passes-on'),
  /** On a socket or an HTTP/2 stream: called when it is destroyed. */
  ENDED: Symbol('cluster2-rs.ended'),
  /** Returned by an observer of server events for an event that it will emit itself, later. */
  HELD: Symbol('cluster2-rs.held'),
};
