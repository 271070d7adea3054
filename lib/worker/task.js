'use strict';

// A worker that does not listen (option `listen: false`): it consumes a queue, or runs jobs at
// times. It is ready when its script says so, or once its event loop turns `minReadyTime` after the
// start. It is told to end as plain Node is: by SIGTERM, and by `disconnect` where it listens to
// that.
//
// What always holds: nothing here keeps the process alive; and a script that handles its end ends
// itself, by the master's deadline.

const { scriptHandles } = require('../cluster/script-signals');

/** The first one that the script handles is sent: PM2 sends SIGINT. */
const ENDING = ['SIGTERM', 'SIGINT'];

class Task {
  #session;
  /** Listeners of `disconnect` before the script has run. */
  #own = process.listenerCount('disconnect');
  #timer;
  #isReady = false;

  /**
   * @param {Session} session
   * @param {number} readyAfter milliseconds
   */
  constructor(session, readyAfter) {
    this.#session = session;
    this.#timer = setTimeout(() => this.ready(), readyAfter).unref();
    session.departure.onSignals(() => {});
    session.departure.onStart((signalled) => this.#end(signalled));
  }

  /** It is ready. Further calls do nothing. */
  ready() {
    clearTimeout(this.#timer);
    if (this.#isReady) return;
    this.#isReady = true;
    this.#session.ready([]);
  }

  /** Tells the script to end. Returns whether it handles that. `signalled`: it had a signal. */
  #end(signalled) {
    const signal = signalled ? undefined : ENDING.find(scriptHandles);
    if (signal) process.kill(process.pid, signal);
    const isHeard = process.listenerCount('disconnect') > this.#own;
    // Its master may be gone.
    if (isHeard && process.connected) process.disconnect();
    return isHeard || signal !== undefined;
  }
}

module.exports = { Task };
