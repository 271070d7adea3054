'use strict';

// The numbers that a process reports about itself. In a worker they lie in the scoreboard
// (`src/os/scoreboard/`), so that writing them is the whole report. The addon writes the numbers
// of the process as a whole (`src/worker/beats.rs`).

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
  'lastDescriptor',
  'polling',
  'measured',
];

const INDEX = Object.fromEntries(FIELDS.map((name, index) => [name, index]));
const ROW_BYTES = 256;

/** One row of numbers; each field is a property. Where it must be fast, `row[INDEX.field]`. */
class Counters {
  row;

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
