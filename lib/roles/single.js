'use strict';

// A `Cluster` with `cluster: false`: the app in this very process, without workers.

const os = require('node:os');
const { adapt } = require('../adapt');
const { Counters } = require('../counters');
const { Drain } = require('../drain');
const { ClusterError } = require('../errors');
const { serve } = require('../serve');
const { IdleTimeout } = require('../idle-timeout');
const { Traffic } = require('../traffic');
const { beat, createApp, resolveHost, warn } = require('./common');
const { version } = require('../../package.json');

/** What else keeps the script alive after a signal's shutdown gets this long, milliseconds. */
const GRACE = 200;

class SingleRole {
  #cluster;
  #config;
  #counters = new Counters();
  #traffic = new Traffic(this.#counters);
  #servers = [];
  #heartbeat;
  #idle;
  #startedAt = new Date();
  #drained;
  #state = 'idle';
  #signals = { SIGINT: () => this.#onSignal('SIGINT'), SIGTERM: () => this.#onSignal('SIGTERM') };

  constructor(cluster, config) {
    this.#cluster = cluster;
    this.#config = config;
  }

  get running() {
    return this.#state === 'running' || this.#state === 'leaving';
  }

  async listen(create, callback) {
    let apps;
    const [app, monApp] = await createApp(create, (app) => (apps = adapt(app, this.#config.ports)));
    for (const { server } of apps) {
      this.#traffic.watch(server);
      server.prependListener('connection', () => this.#count());
    }
    this.#servers = await serve(apps, resolveHost(this.#config.host)).catch((error) => {
      this.#traffic.close();
      throw asClusterError(error);
    });
    this.#state = 'running';
    for (const [signal, handler] of Object.entries(this.#signals)) process.on(signal, handler);
    this.#counters.start();
    this.#idle = new IdleTimeout(this.#traffic, this.#counters, this.#config.timeout);
    this.#heartbeat = beat(this.#cluster, this.#config, () => this.#status());
    callback?.(app, monApp);
  }

  #count() {
    this.#counters.connectionsActive += 1;
    this.#counters.connectionsTotal += 1;
  }

  command({ command, wait }) {
    switch (command) {
      case 'status':
        return Promise.resolve(this.#status());
      case 'stop':
        return this.#stop();
      case 'shutdown':
        return this.#shutdown(wait);
      default:
        return Promise.reject(
          new ClusterError('CLUSTER2_ERR_WRONG_STATE', `cannot ${command}: there are no workers (option 'cluster' is false)`),
        );
    }
  }

  #status() {
    const { connections, requests, ...rest } = this.#counters.snapshot();
    const startedAt = this.#startedAt.toISOString();
    return {
      running: this.running,
      master: { pid: process.pid, startedAt, version, node: process.version, hostname: os.hostname(), state: this.#state },
      workers: [{ slot: 0, generation: 1, state: 'ready', startedAt, connections, requests, ...rest, restarts: 0 }],
      ecv: { disabled: false, since: startedAt },
      totals: { connections: connections.total, timedOut: connections.timedOut, requests: requests.total },
    };
  }

  // The process goes when its work is done, as it would have gone at once without us.
  async #onSignal(signal) {
    this.#cluster.emit(signal, { pid: process.pid, type: 'master' });
    await this.#shutdown(true);
    setTimeout(() => process.exit(), GRACE).unref();
  }

  #ended() {
    this.#state = 'ended';
    for (const [signal, handler] of Object.entries(this.#signals)) process.off(signal, handler);
    this.#traffic.close();
  }

  #closeListeners() {
    this.#state = 'leaving';
    clearInterval(this.#heartbeat);
    this.#counters.stop();
    this.#idle.stop();
    // Only the listening handle: http.Server's own close would also end idle connections, in the middle of their next request.
    for (const server of this.#servers) {
      server._handle?.close();
      server._handle = null;
    }
    this.#servers = [];
  }

  async #stop() {
    this.#closeListeners();
    this.#traffic.sockets.forEach((socket) => socket.destroy());
    this.#ended();
    return { running: true, pid: process.pid };
  }

  async #shutdown(wait) {
    this.#drained ??= this.#drain();
    if (wait) await this.#drained;
    return { running: true, pid: process.pid };
  }

  #drain() {
    return new Promise((resolve) => {
      const drain = new Drain(this.#traffic, () => {
        clearTimeout(deadline);
        drain.stop();
        this.#ended();
        resolve();
      });
      const deadline = setTimeout(() => this.#cut(drain), this.#config.shutdownTimeout);
      this.#closeListeners();
      drain.start();
    });
  }

  #cut(drain) {
    const { size } = this.#traffic.sockets;
    const limit = this.#config.shutdownTimeout;
    warn(this.#cluster, `${size} connections did not finish within ${limit} ms (shutdownTimeout); they were cut`);
    drain.stop();
    this.#traffic.sockets.forEach((socket) => socket.destroy());
  }
}

function asClusterError(error) {
  const address = error.address && error.port !== undefined ? `${error.address}:${error.port}` : error.address;
  if (error.code === 'EADDRINUSE') return new ClusterError('CLUSTER2_ERR_PORT_IN_USE', `address ${address} is already in use`);
  if (error.code === 'EACCES') return new ClusterError('CLUSTER2_ERR_PORT_DENIED', `no permission to listen on ${address}`);
  return new ClusterError('CLUSTER2_ERR_LISTEN', `cannot listen on ${address}: ${error.message}`, { cause: error });
}

module.exports = { SingleRole };
