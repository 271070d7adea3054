'use strict';

// A deadline of a process without workers. What always holds: time in which the process, or its
// machine, was stopped does not count, as in a master (src/clock.rs); what came meanwhile is
// handled before the deadline passes; and one that is always late still passes.

const { now } = require('../clock');

/** The longest wait, milliseconds. Of a longer gap half a wait counts. */
const MAX_WAIT = 250;
/** What is late by less comes from a busy event loop, and counts, milliseconds. */
const BUSY = 500;

class Deadline {
  #left;
  #passed;
  #timer;

  /**
   * @param {number} time how long to wait, milliseconds
   * @param {() => void} passed called once the time has passed
   */
  constructor(time, passed) {
    this.#left = time;
    this.#passed = passed;
    this.#wait();
  }

  #wait() {
    const [begun, wait] = [now(), Math.min(this.#left, MAX_WAIT)];
    this.#timer = setTimeout(() => {
      const took = now() - begun;
      this.#left -= took > wait + BUSY ? wait / 2 : took;
      // Node's timers have whole milliseconds.
      if (this.#left < 1) this.#passed();
      else this.#wait();
    }, wait);
  }

  /** It no longer matters. */
  clear() {
    clearTimeout(this.#timer);
  }
}

module.exports = { Deadline };
