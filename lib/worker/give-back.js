'use strict';

// Connections that go back to the master, which finds another worker for each. What always holds: a
// connection is either still with this worker, or the master has a descriptor of it; if the channel
// has no room, it stays and is given back later.

const fs = require('node:fs');
const { now } = require('../clock');
const { native } = require('../errors');
const { NUMBERS, toNumbers } = require('../http/moved-connection');

/** How long the end of a process may wait for room in the channel, milliseconds. */
const LAST_WAIT = 200;

class GiveBack {
  #native;
  #full;
  /**
   * Those that no server of this worker can have, for which there was no room yet: `[fd, listener,
   * past, request]`.
   */
  #kept = [];

  /**
   * @param {object} worker of the addon
   * @param {() => void} full there is no room now: call `giveKept` again later
   */
  constructor(worker, full) {
    this.#native = worker;
    this.#full = full;
  }

  /** Whether connections still wait for room. */
  get isPending() {
    return this.#kept.length > 0;
  }

  /**
   * Gives a connection back, now or as soon as there is room, and lets go of its descriptor.
   * @param {object} [past] its past (`Past` of `src/protocol/connections.rs`), unless
   *   it is new
   * @param {Buffer} [request] the bytes of a request on it that another worker is to answer
   */
  give(fd, listener, past, request) {
    this.#kept.push([fd, listener, past, request]);
    this.giveKept();
  }

  giveKept() {
    while (this.#kept.length > 0) {
      const [fd, ...rest] = this.#kept[0];
      // Without a master no worker can serve it.
      if (this.#offer(fd, ...rest) === false) return;
      this.#kept.shift();
      fs.close(fd, () => {});
    }
  }

  /**
   * Moves an idle connection to another worker: the master gets a descriptor of it. Its own
   * descriptor stays open.
   * @returns {boolean} false: it stays here
   */
  move(fd, listener, past, request) {
    return this.#offer(fd, listener, past, request) === true;
  }

  /**
   * Gives connections back at the end of this process, with those that still wait and those that
   * were accepted and not taken. Waits for room, for at most `LAST_WAIT`. Their descriptors stay
   * open until the process has ended, which ends nothing: the master has others.
   * @param {{ fd: number, listener: number, past: object | undefined, request: Buffer |
   *   undefined }[]} connections with `request`: the bytes of one that others are to answer
   * @returns {object[]} those with a request that were given
   */
  giveLast(connections) {
    const until = now() + LAST_WAIT;
    const named = ([fd, listener, past, request]) => ({ fd, listener, past, request });
    const all = [...this.#kept.map(named), ...connections];
    this.#giveLastIdle(all.filter(({ request }) => request === undefined));
    const asked = all.filter(({ request }) => request !== undefined);
    return asked.filter((connection) => this.#giveAsked(connection, until));
  }

  // False also if the request is too long.
  #giveAsked({ fd, listener, past, request }, until) {
    const limit = Math.max(0, Math.round(until - now()));
    try {
      return native(() =>
        this.#native.giveRequest(fd, listener, toNumbers(past), request, limit),
      );
    } catch {
      return false;
    }
  }

  #giveLastIdle(connections) {
    const numbers = new Int32Array(NUMBERS * connections.length);
    connections.forEach(({ fd, listener, past }, index) =>
      numbers.set([fd, listener, ...toNumbers(past)], NUMBERS * index),
    );
    try {
      native(() => this.#native.giveLast(numbers, LAST_WAIT));
    } catch {
      // Without a master no worker can serve them.
    }
  }

  /** False: there is no room now; undefined: there is no master. */
  #offer(fd, listener, past, request) {
    const numbers = toNumbers(past);
    try {
      const given = native(() =>
        request
          ? this.#native.giveRequest(fd, listener, numbers, request, 0)
          : this.#native.giveBack(fd, listener, numbers),
      );
      if (!given) this.#full();
      return given;
    } catch {
      return undefined;
    }
  }
}

module.exports = { GiveBack };
