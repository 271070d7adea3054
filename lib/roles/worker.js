'use strict';

// A `Cluster` in a worker: runs the app.

const { adapt } = require('../adapt');
const { serve } = require('../serve');
const { IdleTimeout } = require('../idle-timeout');
const { beat, createApp, fail, resolveHost } = require('./common');

class WorkerRole {
  #cluster;
  #config;
  #session;

  constructor(cluster, config, session) {
    this.#cluster = cluster;
    this.#config = config;
    this.#session = session;
  }

  /** The running cluster is the master's; it is reached as from any other process. */
  get running() {
    return false;
  }

  // A worker that cannot serve is of no use: whoever listens to its errors, it ends, and the master counts a failed start.
  async listen(create, callback) {
    try {
      await this.#listen(create, callback);
    } catch (error) {
      this.#session.failed(error);
      fail(this.#cluster, error);
      process.exit(255);
    }
  }

  async #listen(create, callback) {
    this.#onSignals();
    process.on('message', (message) => this.#cluster.emit('message', process.ppid, message));
    beat(this.#cluster, this.#config, () => this.#session.counters.snapshot());
    let apps;
    const [app, monApp] = await createApp(create, (app) => (apps = adapt(app, this.#config.ports)));
    new IdleTimeout(this.#session.traffic, this.#session.counters, this.#config.timeout);
    this.#session.guard(apps, this.#config);
    await serve(apps, resolveHost(this.#config.host));
    this.#session.ready();
    callback?.(app, monApp);
  }

  // Ctrl-C and a hang-up reach all processes of a terminal: what they mean is the master's decision. SIGTERM to a worker means
  // that worker.
  #onSignals() {
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM']) {
      process.on(signal, () => {
        this.#session.report({ type: 'signal', signal });
        this.#cluster.emit(signal, { pid: process.pid, type: 'worker' });
        if (signal === 'SIGTERM') this.#session.leave();
      });
    }
  }
}

module.exports = { WorkerRole };
