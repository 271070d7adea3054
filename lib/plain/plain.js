'use strict';

// A worker whose script knows nothing of us: it makes its servers and listens as it would alone (`cluster2 start`). Whatever
// listens is served as an app is: health check, idle time-out, drain. What always holds: the worker says that it is ready when a
// server listens and none is about to, and again when others do later; the master waits a moment longer where other workers serve
// more. An error of a server is the script's own.

const { IdleTimeout } = require('../http/idle-timeout');
const { observe } = require('../http/server-events');

/** With these, what a server was about to do is settled. It may close and listen again, as often as it likes. */
const SETTLING = new Set(['listening', 'error', 'close']);

class PlainRole {
  #session;
  #check;
  #idle;
  /** Servers that listen or are about to; and those that are served, until nobody has them any more. */
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
    this.#unobserve = observe({ before: (server, event) => SETTLING.has(event) && this.#settle(server) });
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

  /** The server listens no more, or never did. */
  forget(server) {
    this.#servers.delete(server);
  }

  #announce() {
    const listening = [...this.#servers].filter((server) => server.listening);
    if (this.#isClaimed || this.#starting.size > 0 || listening.length === 0) return;
    this.#session.ready(listening, { settled: false });
  }

  /** The script turned out to know us: its own `Cluster` says when it is ready. */
  stop() {
    this.#isClaimed = true;
    this.#idle.stop();
    this.#endSignals?.();
    this.#unobserve();
  }
}

module.exports = { PlainRole };
