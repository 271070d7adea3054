'use strict';

// This worker as a spare: its script has run up to its `listen()`, and the servers listen when the
// master activates it, because another worker has ended.
//
// What always holds: for the script, `listen()` only takes longer. Nothing it can see of a server
// differs from what it sees in plain Node between `listen()` and the event `listening`.

/** Tells the script, as long as it runs in a spare. */
const VARIABLE = 'CLUSTER2_SPARE';

class Spare {
  #session;
  #isReported = false;
  /** The script has a `Cluster` of its own, and what of its app is about to listen. */
  #isClaimed = false;
  #hasApp = false;
  #tell = () => {};

  constructor(session) {
    this.#session = session;
  }

  /** The script has a `Cluster` of its own. */
  claim() {
    this.#isClaimed = true;
  }

  /** The app of the script's `Cluster` is about to listen. */
  onApp() {
    this.#hasApp = true;
  }

  /** `tell` is called when this worker is told to listen. */
  onActivated(tell) {
    this.#tell = tell;
  }

  /** A server waits. */
  onHeld() {
    // What else the script does in this turn of the event loop is part of its start.
    setImmediate(() => {
      const isEarly = this.#isClaimed && !this.#hasApp;
      if (isEarly || this.#isReported) return;
      this.#isReported = true;
      this.#session.report({ type: 'waiting', settled: this.#isClaimed });
    });
  }

  /** The master activates it. `listen`: has the servers listen. */
  activate(listen) {
    delete process.env[VARIABLE];
    listen();
    this.#tell();
  }
}

module.exports = { Spare };
