'use strict';

// A worker whose script knows nothing of us: it makes its servers and listens as it would alone (`cluster2 start`). Whatever
// listens is served as an app is: health check, idle time-out, drain. What always holds: the worker is ready once, when a server
// listens and none is about to; an error of a server is the script's own.

const { errorMonitor } = require('node:events');
const { IdleTimeout } = require('../idle-timeout');

const OUTCOMES = ['listening', errorMonitor, 'close'];

class PlainRole {
  #session;
  #check;
  #idle;
  #starting = 0;
  #servers = new Set();
  #isReady = false;
  #endSignals;

  /**
   * @param {Session} session
   * @param {{ ecv: object|null, timeout: number }} config the options that concern a worker (`Serve` of `src/runtime/member.rs`)
   */
  constructor(session, config) {
    this.#session = session;
    this.#check = session.healthCheck(config);
    this.#idle = new IdleTimeout(session.traffic, session.counters, config.timeout);
  }

  /** A server is about to listen on a port or a path. */
  adopt(server, port) {
    this.#endSignals ??= this.#session.onSignals(() => {});
    if (!this.#servers.has(server)) this.#check.guard({ server, ports: [port] });
    this.#servers.add(server);
    this.#starting += 1;
    const settle = () => {
      for (const event of OUTCOMES) server.off(event, settle);
      this.#starting -= 1;
      setImmediate(() => this.#announce());
    };
    for (const event of OUTCOMES) server.on(event, settle);
  }

  #announce() {
    const listening = [...this.#servers].filter((server) => server.listening);
    if (this.#isReady || this.#starting > 0 || listening.length === 0) return;
    this.#isReady = true;
    this.#session.ready(listening);
  }

  /** The script turned out to know us. */
  stop() {
    this.#idle.stop();
    this.#endSignals?.();
  }
}

module.exports = { PlainRole };
