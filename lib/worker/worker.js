'use strict';

// A `Cluster` in a worker: runs the app.

const { adapt } = require('../app/adapt');
const { createApp } = require('../app/create-app');
const { resolveHost, serve } = require('../app/serve');
const { beat } = require('../cluster/heartbeat');
const { fail } = require('../cluster/report');
const { IdleTimeout } = require('../http/idle-timeout');

class WorkerRole {
  #cluster;
  #config;
  #session;

  constructor(cluster, config, session) {
    this.#cluster = cluster;
    this.#config = config;
    this.#session = session;
    session.claim();
  }

  /** The running cluster is the master's; it is reached as from any other process. */
  get running() {
    return false;
  }

  // A worker that cannot serve is of no use: it ends, even if the script listens to its errors, and
  // the master counts a failed start.
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
    const emit = (signal) => this.#cluster.emit(signal, { pid: process.pid, type: 'worker' });
    this.#session.departure.onSignals(emit);
    process.on('message', (message) => this.#cluster.emit('message', process.ppid, message));
    this.#session.spare.onActivated(() => this.#cluster.emit('activated', process.pid));
    beat(this.#cluster, this.#config, () => this.#session.counters.snapshot());
    if (this.#session.task) return this.#work(create, callback);
    let apps;
    const [app, monApp] = await createApp(create, (app) => (apps = adapt(app, this.#config.ports)));
    new IdleTimeout(this.#session.traffic, this.#session.counters, this.#config.timeout);
    const check = this.#session.healthCheck(this.#config);
    apps.forEach((app) => check.guard(app));
    this.#session.departure.tellEarly(apps.map(({ server }) => server));
    this.#session.spare.onApp();
    const servers = await serve(apps, resolveHost(this.#config.host));
    this.#session.ready(servers);
    callback?.(app, monApp);
  }

  // It does not listen: it is ready when `create` calls back, or earlier.
  async #work(create, callback) {
    if (!create) return;
    await createApp(create, () => {});
    this.#session.task.ready();
    callback?.();
  }
}

module.exports = { WorkerRole };
