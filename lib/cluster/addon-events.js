'use strict';

// Takes the events of the addon, a batch at a time, and emits one after another.
//
// What always holds: the event loop turns between two batches; an event whose listener throws holds
// up none of the others; and listeners run in the async context in which the cluster was started,
// whatever call caused the event.

const { AsyncResource } = require('node:async_hooks');

class AddonEvents {
  #take;
  #tell;
  #batch = [];
  #at = 0;
  #isScheduled = false;

  /**
   * @param {() => string | null} take the next events as a JSON array; `null`: none, `wake` is
   *   called when there are some
   * @param {(event: object) => void} tell
   */
  constructor(take, tell) {
    this.#take = take;
    this.#tell = tell;
    this.wake = AsyncResource.bind(() => this.#hear());
  }

  /**
   * Hands out all events that have come by now. An error of a listener is uncaught, and not the
   * caller's.
   */
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
