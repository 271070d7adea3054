'use strict';
// Clients that go on asking, for what wrk cannot tell: what a change of workers costs, and how long
// single kinds of requests take. A request counts as lost when it was sent and its connection ended
// without the answer.

const { setMaxListeners } = require('node:events');
const { createHistogram } = require('node:perf_hooks');
const { setTimeout: pause } = require('node:timers/promises');
const { Connection } = require('./connection');

const SLOW_MS = 500;
const LONGEST_MS = 60_000;
const AFTER_REFUSAL_MS = 1;

// Times in microseconds, in memory of a fixed size.
class Latencies {
  #histogram = createHistogram({ lowest: 1, highest: LONGEST_MS * 1000, figures: 3 });

  record(ms) {
    this.#histogram.record(Math.max(1, Math.round(ms * 1000)));
  }

  // In milliseconds; none of it is a number where nothing was recorded.
  summary() {
    if (this.#histogram.count === 0) return { p50: NaN, p90: NaN, p99: NaN, max: NaN };
    const ms = (percent) => this.#histogram.percentile(percent) / 1000;
    return { p50: ms(50), p90: ms(90), p99: ms(99), max: this.#histogram.max / 1000 };
  }
}

// When one client asks: once in each period, always at the same point of it. So clients that had to
// wait together do not ask together from then on.
class Pace {
  #everyMs;
  #due;

  // `phase`: the point, as a fraction of the period.
  constructor(everyMs, phase, now = performance.now()) {
    this.#everyMs = everyMs;
    this.#due = now + phase * everyMs;
    this.untilFirst = phase * everyMs;
  }

  /** Milliseconds until the next request. Points that have passed are skipped. */
  untilNext(now = performance.now()) {
    if (this.#everyMs === 0) return 0;
    this.#due += Math.max(1, Math.ceil((now - this.#due) / this.#everyMs)) * this.#everyMs;
    return this.#due - now;
  }
}

class Clients {
  // `ended`: connections that the server ended between two requests.
  counts = { ok: 0, lost: 0, refused: 0, reconnects: 0, ended: 0, slow: 0 };
  latencies = new Latencies();
  #port;
  #stop = new AbortController();
  #running = [];
  #blocking;
  #asked = 0;
  #everyMs;
  #onAnswer;
  #path;

  // `blocking`: one of `every` requests blocks its worker for `ms`; their latencies are not among
  // those recorded. `path`: what all others ask for. `everyMs`: each client asks once in this time,
  // instead of again and again. `onAnswer`: called with the time of each request and of its answer,
  // by performance.now().
  constructor(port, options = {}) {
    const { blocking = { every: Infinity }, everyMs = 0, path = '/' } = options;
    const { onAnswer = () => {} } = options;
    setMaxListeners(0, this.#stop.signal); // each client's pause listens to it
    this.#port = port;
    this.#blocking = blocking;
    this.#everyMs = everyMs;
    this.#onAnswer = onAnswer;
    this.#path = path;
  }

  start({ keepAlive = 0, oneShot = 0 }) {
    for (let i = 0; i < keepAlive; i++) this.#running.push(this.#client(false, i / keepAlive));
    for (let i = 0; i < oneShot; i++) this.#running.push(this.#client(true, i / oneShot));
    return this;
  }

  // What came until now is forgotten: the warm-up is over.
  reset() {
    for (const name of Object.keys(this.counts)) this.counts[name] = 0;
    this.latencies = new Latencies();
  }

  async stop() {
    this.#stop.abort();
    await Promise.all(this.#running);
    return this.counts;
  }

  get #stopped() {
    return this.#stop.signal.aborted;
  }

  // `phase` spreads the clients over the time in which each of them asks once.
  async #client(oneShot, phase) {
    const pace = new Pace(this.#everyMs, phase);
    await this.#wait(pace.untilFirst);
    for (let first = true; !this.#stopped; first = false) {
      if (!first && !oneShot) this.counts.reconnects += 1;
      const connection = new Connection(this.#port);
      try {
        do {
          await this.#ask(connection, oneShot);
          await this.#wait(pace.untilNext());
        } while (!oneShot && connection.open && !this.#stopped);
        if (!oneShot && !this.#stopped) this.counts.ended += 1;
      } catch ({ code }) {
        this.counts[code === 'ECONNREFUSED' ? 'refused' : 'lost'] += 1;
        // Nobody listens: without a pause this would be all that the machine does.
        if (code === 'ECONNREFUSED') await this.#wait(AFTER_REFUSAL_MS);
      }
      await connection.close();
    }
  }

  async #ask(connection, last) {
    const blocks = ++this.#asked % this.#blocking.every === 0;
    const begin = performance.now();
    await connection.ask(blocks ? `/block/${this.#blocking.ms}` : this.#path, { last });
    const end = performance.now();
    const ms = end - begin;
    this.#onAnswer(begin, end);
    this.counts.ok += 1;
    if (ms > SLOW_MS) this.counts.slow += 1;
    if (!blocks) this.latencies.record(ms);
  }

  async #wait(ms) {
    if (ms > 0) await pause(ms, null, { signal: this.#stop.signal }).catch(() => {});
  }
}

module.exports = { Clients, Latencies, Pace };
