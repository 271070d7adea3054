'use strict';

// Takes what the addon has to tell, a batch at a time, and hands out one event after another.
//
// What always holds: between two batches the event loop turns; an event whose listener throws holds up none of the others; and
// listeners run in the async context in which the cluster was started, whoever's call brought them about.

const { AsyncResource } = require('node:async_hooks');

class AddonEvents {
  #take;
  #tell;
  #batch = [];
  #at = 0;
  #isScheduled = false;

  /**
   * @param {() => string | null} take the next events as a JSON array; `null`: none, `wake` is called when there are some
   * @param {(told: object) => void} tell
   */
  constructor(take, tell) {
    this.#take = take;
    this.#tell = tell;
    this.wake = AsyncResource.bind(() => this.#hear());
  }

  /** Hands out what has come by now. What a listener throws is an uncaught error, and not the caller's. */
  catchUp() {
    try {
      this.wake();
    } catch (error) {
      setImmediate(() => {
        throw error;
      });
    }
  }

  #hear() {
    if (this.#at === this.#batch.length && !this.#fetch()) return;
    // Before the first listener, which may throw.
    this.#schedule();
    while (this.#at < this.#batch.length) this.#tell(this.#batch[this.#at++]);
  }

  #schedule() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#hear();
    });
  }

  #fetch() {
    const events = this.#take();
    this.#batch = events === null ? [] : JSON.parse(events);
    this.#at = 0;
    return events !== null;
  }
}

module.exports = { AddonEvents };
