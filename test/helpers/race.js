'use strict';

// A race: clients that do all that clients do, and workers that are stuck again and again and take
// connections from each other. Each request has a number. At the end, each answered request must
// have been served once, and nothing else may have been served.

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Script } = require('./cluster');
const { Client, anyKind, pause } = require('./race-clients');
const { elapse } = require('./wait');

/** One run of many clients. */
class Race {
  answered = new Set();
  /** What went wrong, and how often. */
  errors = {};
  #last = 0;
  #isOver = false;

  /** @param {number | string} port a port of this machine, or the path of a unix socket */
  constructor(port) {
    this.to = typeof port === 'number' ? { port, host: '127.0.0.1' } : { path: port };
  }

  /** How many requests were sent. */
  get size() {
    return this.#last;
  }

  next() {
    return (this.#last += 1);
  }

  fail(why) {
    this.errors[why] = (this.errors[why] ?? 0) + 1;
  }

  /** Runs `clients` clients for `time` milliseconds. */
  async run(clients, time) {
    const all = Array.from({ length: clients }, () => this.#goOn());
    await elapse(time, 'the race');
    this.#isOver = true;
    await Promise.all(all);
  }

  async #goOn() {
    let client = new Client(this);
    while (!this.#isOver) {
      if (client.isClosed) client = new Client(this);
      await anyKind()(client);
      if (Math.random() < 0.6) await pause(50);
    }
    client.leave();
  }

  /**
   * Fails unless each answered request was served once, and each other one at most once.
   * @param {string} folder where `fixtures/race.js` wrote its counts
   */
  assertServedOnce(folder) {
    const total = new Map();
    for (const file of fs.readdirSync(folder)) {
      const served = JSON.parse(fs.readFileSync(path.join(folder, file)));
      for (const [id, times] of Object.entries(served))
        total.set(Number(id), (total.get(Number(id)) ?? 0) + times);
    }
    const wrong = [...total].filter(([id, times]) => times > 1 || id < 1 || id > this.size);
    const never = [...this.answered].filter((id) => !total.has(id));
    const { errors } = this;
    assert.deepStrictEqual({ errors, wrong, never }, { errors: {}, wrong: [], never: [] });
  }
}

/**
 * Runs a cluster and a race, and fails if a request was lost, doubled, torn or answered to another.
 * @param {number | string} port a free port, or the path of a unix socket
 * @param {{ clients: number, time: number, from?: string }} settings `time`: milliseconds; `from`:
 *   the package, if it is another build than this one
 * @returns {Promise<{ requests: number, moved: number }>}
 */
async function race(port, { clients, time, from }) {
  const SERVED = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-race-'));
  const env = { SERVED, ...(from && { PACKAGE: from }) };
  const script = await new Script('race.js', { port, env }).ready(2);
  const one = new Race(port);
  await one.run(clients, time);
  const { totals: { moved } } = await script.status();
  script.kill();
  await script.ended();
  one.assertServedOnce(SERVED);
  fs.rmSync(SERVED, { recursive: true });
  return { requests: one.size, moved };
}

module.exports = { race };
