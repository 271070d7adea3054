'use strict';

/** The health of all listening servers of a process. Reports it when it changes, and at first. */
class Health {
  #report;
  /** What the last check of each server found; `null`: nothing. */
  #problems = new Map();
  #wasWell;

  /** @param {(problem: ?string) => void} report */
  constructor(report) {
    this.#report = report;
  }

  /** A check of a server found this; `undefined`: nothing. */
  found(server, problem) {
    this.#problems.set(server, problem ?? null);
    this.#updateVerdict();
  }

  /** A server was closed, and its problem is gone with it. */
  closed(server) {
    if (this.#problems.delete(server)) this.#updateVerdict();
  }

  #updateVerdict() {
    for (const server of this.#problems.keys()) {
      if (!server.listening) this.#problems.delete(server);
    }
    // The health of no server is unknown.
    if (this.#problems.size === 0) return;
    const worst = [...this.#problems.values()].find((problem) => problem !== null) ?? null;
    const isWell = worst === null;
    if (isWell === this.#wasWell) return;
    this.#wasWell = isWell;
    this.#report(worst);
  }
}

module.exports = { Health };
