'use strict';

// A `Cluster` with `cluster: false`: the app in this very process, without workers.

const { adapt } = require('../adapt');
const { Counters } = require('../counters');
const { Drain } = require('../drain');
const { HealthCheck, placeOf } = require('../ecv');
const { ClusterError, native } = require('../errors');
const { serve } = require('../serve');
const { IdleTimeout } = require('../idle-timeout');
const { MonitorApp } = require('../monitor-app');
const addon = require('../native');
const { Traffic } = require('../traffic');
const { about, beat, createApp, onValidate, resolveHost, warn } = require('./common');

/** What else keeps the script alive after a signal's shutdown gets this long, milliseconds. */
const GRACE = 200;
/** As a worker's, milliseconds. */
const BEAT = 1000;

class SingleRole {
  #cluster;
  #config;
  #native;
  #counters;
  #traffic;
  #servers = [];
  #monitorApp;
  #heartbeat;
  #beats;
  #idle;
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
    if (monApp) this.#monitorApp = new MonitorApp(monApp);
    this.#enter(apps);
    try {
      this.#servers = await serve(apps, resolveHost(this.#config.host)).catch((error) => {
        throw asClusterError(error);
      });
      const places = JSON.stringify(this.#servers.map(placeOf));
      native(() => this.#native.serve(places, this.#monitorApp !== undefined));
    } catch (error) {
      this.#servers.forEach((server) => server.close());
      this.#ended();
      throw error;
    }
    this.#state = 'running';
    for (const [signal, handler] of Object.entries(this.#signals)) process.on(signal, handler);
    const makeBeat = () => this.#native.beat(BEAT);
    makeBeat();
    this.#beats = setInterval(makeBeat, BEAT).unref();
    this.#idle = new IdleTimeout(this.#traffic, this.#counters, this.#config.timeout);
    this.#heartbeat = beat(this.#cluster, this.#config, () => this.#status());
    callback?.(app, monApp);
  }

  // The monitor's port is bound here, before the app's: what a user can get wrong fails before anybody is served.
  #enter(apps) {
    const config = JSON.stringify(this.#config);
    const told = (text) => this.#told(JSON.parse(text));
    this.#native = native(() => new addon.NativeSingle(config, about(process.argv[1]), told));
    this.#counters = new Counters(this.#native.row());
    this.#traffic = new Traffic(this.#counters, () => this.#count());
    for (const { server } of apps) this.#traffic.watch(server);
    const tell = {
      checked: (problem) => this.#native.checked(problem ?? undefined),
      switched: (disabled, by) => this.#native.switched(disabled, by),
      warn: (message) => warn(this.#cluster, message),
    };
    const header = new Float64Array(this.#native.header());
    const makeNative = (...args) => native(() => this.#native.ecv(...args));
    const check = new HealthCheck(this.#config, tell, { header, makeNative });
    apps.forEach((app) => check.guard(app));
  }

  #told(told) {
    switch (told.type) {
      case 'disable':
        return this.#cluster.emit('disable', { reason: told.reason, pid: told.pid ?? undefined });
      case 'enable':
        return this.#cluster.emit('enable');
      case 'validate':
        return onValidate(told, this.#config, this.#native);
      case 'visitor':
        this.#native.visitorTaken();
        return this.#monitorApp.take(told.fd);
      default:
        return warn(this.#cluster, told.message);
    }
  }

  #count() {
    this.#counters.connectionsActive += 1;
    this.#counters.connectionsTotal += 1;
  }

  command({ command, wait, disabled }) {
    switch (command) {
      case 'ecv':
        return this.#switch(disabled);
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

  async #switch(disabled) {
    return JSON.parse(native(() => this.#native.switch(disabled)));
  }

  #status() {
    return JSON.parse(this.#native.status());
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
    this.#native.end();
  }

  #closeListeners() {
    this.#state = 'leaving';
    this.#native.leave();
    clearInterval(this.#heartbeat);
    clearInterval(this.#beats);
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
    for (const socket of this.#traffic.sockets) socket.destroy();
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
    const { size } = this.#traffic;
    const limit = this.#config.shutdownTimeout;
    warn(this.#cluster, `${size} connections did not finish within ${limit} ms (shutdownTimeout); they were cut`);
    drain.stop();
    for (const socket of this.#traffic.sockets) socket.destroy();
  }
}

function asClusterError(error) {
  const address = error.address && error.port !== undefined ? `${error.address}:${error.port}` : error.address;
  if (error.code === 'EADDRINUSE') return new ClusterError('CLUSTER2_ERR_PORT_IN_USE', `address ${address} is already in use`);
  if (error.code === 'EACCES') return new ClusterError('CLUSTER2_ERR_PORT_DENIED', `no permission to listen on ${address}`);
  return new ClusterError('CLUSTER2_ERR_LISTEN', `cannot listen on ${address}: ${error.message}`, { cause: error });
}

module.exports = { SingleRole };
