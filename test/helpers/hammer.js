'use strict';

// Load from many clients of several kinds on one address, until a test stops it. Outcomes of
// requests are counted separately: each request ends in exactly one count.

const assert = require('node:assert');
const kinds = require('./kinds');
const { Wire } = require('./wire');
const { until } = require('./wait');

/** Longer than any delay that a test causes. */
const DEADLINE = 8000;
/** The default number of clients of each kind. */
const ALL = {
  ...{ keepAlive: 4, agent: 2, oneShot: 4, slow: 3, late: 3 },
  ...{ upload: 2, chunked: 2, pipelined: 2, halfOpen: 2, upgrade: 2 },
};
const COUNTS = ['ok', 'refused', 'reset', 'empty', 'timeout', 'failed', 'wrong'];
/** The counts that a shutdown adds to, without losing a request. */
const LEAVING = ['refused', 'reconnects', 'toldToClose', 'dropped'];
/** How long a refused client waits before it tries again, in milliseconds. */
const REFUSED_PAUSE = 20;

const zero = () => Object.fromEntries(COUNTS.map((name) => [name, 0]));

/** One client. It sends one request, or one group of requests, after another. */
class Client {
  agent;
  #hammer;
  #kind;
  #wire;
  #connections = 0;
  #told = 0;

  constructor(hammer, kind) {
    this.#hammer = hammer;
    this.#kind = kind;
    this.running = this.#run();
  }

  get target() {
    return this.#hammer.target;
  }

  get deadline() {
    return this.#hammer.deadline;
  }

  /** Returns a random integer from `low` to `high`. */
  between(low, high) {
    return low + Math.floor(Math.random() * (high - low + 1));
  }

  nextId() {
    return this.#hammer.nextId();
  }

  /** Returns the client's connection if it can still be used, or a new one. */
  connection() {
    if (this.#wire?.usable) return this.#wire;
    if (this.#wire?.dropped) this.#hammer.dropped += 1;
    this.connected();
    this.#wire = new Wire({ ...this.target, allowHalfOpen: this.#kind === 'halfOpen' });
    return this.#wire;
  }

  /** Counts a connect. */
  connected() {
    this.#connections += 1;
  }

  /** Closes a connection on purpose. It does not count as a reconnect. */
  async leave(wire) {
    await wire.close();
    this.#wire = undefined;
    this.#connections = 0;
  }

  /**
   * Waits for the answer to one request and counts it. `expected` is the digest of the request's
   * body.
   */
  count(wire, id, expected) {
    return this.measure(wire, id, () => wire.answer(this.deadline), expected);
  }

  /** Counts the outcome of `work`. */
  async measure(wire, id, work, expected) {
    const begun = performance.now();
    const end = (outcome, why) =>
      this.#hammer.ended(this.#kind, { id, outcome, why, begun, wire });
    try {
      const answer = await work();
      if (this.#kind !== 'oneShot' && answer?.headers?.connection === 'close') this.#told += 1;
      if (answer?.status >= 500) return end('failed', `${answer.status}`);
      const wrong = expected !== undefined && !answer.body.startsWith(`${id} ${expected} `);
      end(wrong ? 'wrong' : 'ok', answer?.body);
    } catch (error) {
      end(error.outcome ?? outcomeOf(error), `${error.code ?? ''} ${error.message}`);
    }
  }

  async #run() {
    const hammer = this.#hammer;
    while (!hammer.stopped) {
      const refused = hammer.counts.refused;
      await kinds[this.#kind](this);
      if (hammer.untilRefused && hammer.refusedKinds.has(this.#kind)) break;
      const pause = hammer.counts.refused > refused ? REFUSED_PAUSE : this.between(0, hammer.think);
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
    }
    hammer.reconnects += Math.max(0, this.#connections - 1);
    hammer.toldToClose += this.#told;
    this.agent?.destroy();
    await this.#wire?.close();
  }
}

function outcomeOf({ code, name, message }) {
  if (name === 'AbortError' || name === 'TimeoutError') return 'timeout';
  if (code === 'ECONNREFUSED' || code === 'ENOENT') return 'refused';
  if (message === 'socket hang up') return 'empty';
  return code ? 'reset' : 'wrong';
}

/** The hammers that no test has stopped yet. */
const running = new Set();

class Hammer {
  counts = zero();
  /** Keep-alive clients that had to connect again. */
  reconnects = 0;
  /** Connections that the server closed while they were idle. */
  dropped = 0;
  /** Answers that said `Connection: close` to a client that did not ask for it. */
  toldToClose = 0;
  /**
   * All failed requests: `{ kind, id, outcome, why, localPort, took }`. `took`: milliseconds since
   * the client had sent all of it.
   */
  troubles = [];
  /** Requests that took longer than `slowAfter`. */
  slow = [];
  /** The pids that answered requests which began after `watchPids()`. */
  pids = new Set();
  stopped = false;
  refusedKinds = new Set();
  #kinds = {};
  #lastId = 0;
  #watchedSince = 0;
  #clients;

  constructor(
    target,
    {
      clients = ALL,
      think = 25,
      deadline = DEADLINE,
      untilRefused = false,
      slowAfter = 1000,
      prefix = 'r',
    },
  ) {
    this.target = target;
    this.think = think;
    this.deadline = deadline;
    this.untilRefused = untilRefused;
    this.slowAfter = slowAfter;
    this.prefix = prefix;
    const each = Object.entries(clients).flatMap(([kind, count]) => Array(count).fill(kind));
    for (const kind of each) this.#kinds[kind] = zero();
    this.#clients = each.map((kind) => new Client(this, kind));
    running.add(this);
  }

  nextId() {
    return `${this.prefix}${++this.#lastId}`;
  }

  ended(kind, { id, outcome, why = '', begun, wire }) {
    this.counts[outcome] += 1;
    this.#kinds[kind][outcome] += 1;
    const { localPort, wroteAt = begun } = wire;
    const took = Math.round(performance.now() - Math.max(begun, wroteAt));
    const words = { kind, id, outcome, why, localPort, begun, took };
    if (outcome !== 'ok') this.troubles.push(words);
    else if (begun >= this.#watchedSince) this.pids.add(Number(why.split(' ').at(-1)));
    if (outcome === 'refused') this.refusedKinds.add(kind);
    if (took > this.slowAfter) this.slow.push(words);
  }

  /** From now on, `pids` collects the pids that answer new requests. */
  watchPids() {
    this.pids.clear();
    this.#watchedSince = performance.now();
  }

  /** Waits until `count` more requests are answered. */
  async answered(count, deadline) {
    const before = this.counts.ok;
    const enough = () => this.counts.ok >= before + count;
    await until(
      `${count} requests are answered (${JSON.stringify(this.counts)})`,
      enough,
      deadline,
    );
  }

  /**
   * Lets every client finish its request. With `untilRefused`, first waits until each was refused.
   */
  async stop() {
    this.stopped = !this.untilRefused;
    await Promise.all(this.#clients.map((client) => client.running));
    running.delete(this);
    const { counts, reconnects, dropped, toldToClose, troubles, slow, pids } = this;
    return {
      ...counts,
      reconnects,
      dropped,
      toldToClose,
      troubles,
      slow,
      pids,
      kinds: this.#kinds,
    };
  }
}

/**
 * Starts the load.
 * @param {number|string|object} address a TCP port, the path of a unix socket, or options of
 *   `net.connect` (`secure`: TLS)
 * @param {{ clients?: object, think?: number, deadline?: number, untilRefused?: boolean,
 *   slowAfter?: number }} [options]
 *   `clients`: how many of each kind of `kinds.js`
 *   `think`: longest pause between two requests of a client, in milliseconds
 *   `untilRefused`: clients end when they are refused
 */
function start(address, options = {}) {
  const named =
    typeof address === 'number' ? { host: '127.0.0.1', port: address } : { path: address };
  return new Hammer(typeof address === 'object' ? address : named, options);
}

/** Returns the default clients, except those of these kinds. */
const allExcept = (...kinds) =>
  Object.fromEntries(Object.entries(ALL).filter(([kind]) => !kinds.includes(kind)));

/** The counts that are not zero, except `ok`. */
function problems(report) {
  const names = [...COUNTS.slice(1), 'reconnects', 'dropped', 'toldToClose'];
  return Object.fromEntries(
    names.map((name) => [name, report[name]]).filter(([, count]) => count > 0),
  );
}

/**
 * Checks that no request failed, no client had to reconnect, and every kind of client was served.
 * `except` lists counts to ignore.
 */
function assertClean(report, { except = [] } = {}) {
  const found = Object.entries(problems(report)).filter(([name]) => !except.includes(name));
  const troubles = report.troubles.filter(({ outcome }) => !except.includes(outcome));
  const message =
    `${JSON.stringify(Object.fromEntries(found))} of ${report.ok}: ` +
    JSON.stringify(troubles.slice(0, 10), null, 1);
  assert.deepStrictEqual(Object.fromEntries(found), {}, message);
  for (const [kind, { ok }] of Object.entries(report.kinds))
    assert.ok(ok > 0, `no client of the kind ${kind} was served`);
}

/** Stops all load that a failed test left running. */
async function stopAll() {
  for (const hammer of running) {
    hammer.untilRefused = false;
    await hammer.stop();
  }
}

module.exports = { ALL, LEAVING, allExcept, assertClean, problems, start, stopAll };
