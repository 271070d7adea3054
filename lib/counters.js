'use strict';

// The numbers that a process reports about itself. In a worker they lie in the scoreboard (`src/sys/scoreboard.rs`), so that
// writing them is all there is to reporting; in a single process, in plain memory.

const { now } = require('./clock');

const FIELDS = [
  'taken',
  'beat',
  'connectionsActive',
  'connectionsTotal',
  'connectionsTimedOut',
  'requestsActive',
  'requestsTotal',
  'eventLoopDelay',
  'rss',
  'cpu',
];

const INDEX = Object.fromEntries(FIELDS.map((name, index) => [name, index]));
const ROW_BYTES = 128;

/** One row of numbers; each field is a property. Where it must be fast, `row[INDEX.field]`. */
class Counters {
  row;
  /** Milliseconds between two measurements. */
  interval = 1000;
  #timer;
  #due = 0;
  #onMeasured = new Set();

  /** @param {ArrayBuffer} [memory] the row; by default memory of its own */
  constructor(memory = new ArrayBuffer(ROW_BYTES)) {
    this.row = new Float64Array(memory);
    FIELDS.forEach((name, index) => {
      Object.defineProperty(this, name, {
        enumerable: true,
        get: () => this.row[index],
        set: (value) => {
          this.row[index] = value;
        },
      });
    });
  }

  /** Measures the process every `interval` milliseconds, without keeping it alive. */
  start(interval = this.interval) {
    if (this.#timer) return;
    this.interval = interval;
    this.#due = now() + interval;
    this.#measure();
    this.#timer = setInterval(() => {
      const at = now();
      this.eventLoopDelay = Math.max(0, at - this.#due);
      this.#due = at + interval;
      this.#measure();
      this.#onMeasured.forEach((look) => look());
    }, interval).unref();
  }

  /**
   * Has `look` called with each measurement: a process that has nothing to do wakes for all that is to be looked at together.
   * @returns {() => void} ends it
   */
  onMeasured(look) {
    this.#onMeasured.add(look);
    return () => this.#onMeasured.delete(look);
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #measure() {
    const cpu = process.cpuUsage();
    this.beat = now();
    this.rss = process.memoryUsage.rss();
    this.cpu = (cpu.user + cpu.system) / 1e3;
  }

  /** As in `status()`. */
  snapshot() {
    return {
      pid: process.pid,
      connections: {
        active: this.connectionsActive,
        total: this.connectionsTotal,
        timedOut: this.connectionsTimedOut,
      },
      requests: { active: this.requestsActive, total: this.requestsTotal },
      eventLoopDelay: this.eventLoopDelay,
      rss: this.rss,
      cpu: this.cpu,
    };
  }
}

module.exports = { Counters, FIELDS, INDEX };
