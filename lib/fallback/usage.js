'use strict';

// Rates of what the process uses, as `UsageSamples` of `src/usage.rs`.

/** Samples are at least so far apart, milliseconds. */
const APART = 900;

class UsageSamples {
  #before;
  #last;

  /** @param {number} now when the process started */
  constructor(now) {
    this.#before = this.#last = { at: now, cpu: 0, idle: 0 };
  }

  /** @param {{ at: number, cpu: number, idle: number }} sample used so far, milliseconds */
  take(sample) {
    if (sample.at - this.#last.at < APART) return;
    [this.#before, this.#last] = [this.#last, sample];
  }

  /** Percent of one core. */
  cpuPercent(now, cpu) {
    const passed = now - this.#before.at;
    return passed < 1 ? 0 : Math.max(0, ((cpu - this.#before.cpu) / passed) * 100);
  }

  /** From 0 to 1; `null`: not known yet. */
  get utilization() {
    const passed = this.#last.at - this.#before.at;
    if (passed <= 0 || this.#last.idle <= 0) return null;
    const idle = (this.#last.idle - this.#before.idle) / passed;
    return Math.min(1, Math.max(0, 1 - idle));
  }
}

module.exports = { UsageSamples };
