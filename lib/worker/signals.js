'use strict';

// The signals of a worker. What always holds: our handler is the first, so that the master knows
// that the worker leaves, and has its idle connections, before the script closes anything; and the
// script's own handlers count until it sends itself the signal again with none left.

const { ours, scriptHandles } = require('../cluster/script-signals');

const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'];
/** Those by which a script that handles them ends. */
const ENDING = new Set(['SIGINT', 'SIGTERM']);

class Signals {
  #tell;
  #onOver;
  #handled = new Set();
  #hungUp = false;
  #listener = ours((signal) => this.#onSignal(signal));

  /**
   * @param {(signal: string) => void} tell called with each signal
   * @param {() => void} onOver called when the script has done what it does for a signal
   */
  constructor(tell, onOver) {
    this.#tell = tell;
    this.#onOver = onOver;
    for (const signal of SIGNALS) process.prependListener(signal, this.#listener);
  }

  /** Whether the script handles a signal by which it ends, and has not said that it is done. */
  get areHandled() {
    return this.#handled.size > 0;
  }

  /**
   * Whether the script has handled SIGHUP: some end by it, others only read their settings again.
   */
  get hungUp() {
    return this.#hungUp;
  }

  #onSignal(signal) {
    const isHandled = ENDING.has(signal) && scriptHandles(signal);
    if (signal === 'SIGHUP') this.#hungUp ||= scriptHandles(signal);
    // Packages that clean up remove their handler, and send the signal once more.
    const isOver = !isHandled && this.#handled.has(signal);
    if (isHandled) this.#handled.add(signal);
    if (isOver) this.#handled.clear();
    this.#tell(signal);
    if (isOver) this.#onOver();
  }

  stop() {
    for (const signal of SIGNALS) process.off(signal, this.#listener);
  }
}

module.exports = { Signals };
