'use strict';

// A worker whose script knows nothing of us: it makes its servers and listens as it would alone
// (`cluster2 start`). A server that listens is served as an app is: health check, idle time-out,
// drain.

const { IdleTimeout } = require('../http/idle-timeout');
const { observe } = require('../http/server-events');

/**
 * After these events a server is not about to listen any more. It may close and listen again, as
 * often as it likes.
 */
const SETTLING = new Set(['listening', 'error', 'close']);

class PlainRole {
  #session;
  #check;
  #idle;
  /** Servers that listen or are about to. */
  #servers = new Set();
  #adopted = new WeakSet();
  /** Servers that are about to listen. */
  #starting = new Set();
  #isClaimed = false;
  #endSignals;
  #unobserve;

  /**
   * @param {Session} session
   * @param {{ ecv: object|null, timeout: number }} config `PlainOptions` of `src/master/launch.rs`
   */
  constructor(session, config) {
    this.#session = session;
    this.#check = session.healthCheck(config);
    this.#idle = new IdleTimeout(session.traffic, session.counters, config.timeout);
    const before = (server, event) => SETTLING.has(event) && this.#settle(server);
    this.#unobserve = observe({ before });
  }

  /** A server is about to listen on a port or a path. */
  adopt(server, port) {
    this.#endSignals ??= this.#session.departure.onSignals(() => {});
    this.#starting.add(server);
    this.#servers.add(server);
    if (this.#adopted.has(server)) return;
    this.#adopted.add(server);
    this.#check.guard({ server, ports: [port] });
  }

  #settle(server) {
    if (!this.#adopted.has(server)) return;
    this.#starting.delete(server);
    setImmediate(() => this.#announce());
  }

  /** The server was closed, or failed to listen. */
  forget(server) {
    this.#servers.delete(server);
  }

  #announce() {
    const listening = [...this.#servers].filter((server) => server.listening);
    if (this.#isClaimed || this.#starting.size > 0 || listening.length === 0) return;
    this.#session.ready(listening, { settled: false });
  }

  /** The script has a `Cluster` after all, which reports when it is ready. */
  stop() {
    this.#isClaimed = true;
    this.#idle.stop();
    this.#endSignals?.();
    this.#unobserve();
  }
}

module.exports = { PlainRole };
