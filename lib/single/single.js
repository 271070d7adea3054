'use strict';

// A `Cluster` with `cluster: false`, and any where there is no addon: the app in this process,
// without workers. What always holds: a client that was through the handshake before a shutdown is
// served, as in a cluster (src/os/listener.rs); and after a shutdown that came before the app
// listens, it never does.

const { adapt } = require('../app/adapt');
const { createApp } = require('../app/create-app');
const { resolveHost, serve } = require('../app/serve');
const { about } = require('../cluster/about');
const { AddonEvents } = require('../cluster/addon-events');
const { beat } = require('../cluster/heartbeat');
const { warn } = require('../cluster/report');
const { CloseEvent } = require('../http/close-event');
const { Counters } = require('../http/counters');
const { Drain } = require('../http/drain');
const { endpointOf } = require('../http/endpoint');
const { HealthCheck } = require('../http/health-check');
const { native, secondCluster } = require('../errors');
const remote = require('../remote');
const { ours, scriptHandles } = require('../cluster/script-signals');
const { IdleTimeout } = require('../http/idle-timeout');
const { MonitorApp } = require('../app/monitor-app');
const addon = require('../native-main');
const { showsConnections } = require('../node-internals');
const { CURRENT, MASTER, SINGLE } = require('../symbols');
const { Traffic } = require('../http/traffic');
const { onValidate } = require('../http/validator');
const { Deadline } = require('./deadline');
const { checkPorts, listenError, withoutWorkers } = require('./errors');
const { ListenerSet } = require('./listeners');

/**
 * How long the script may go on after the shutdown of a signal, milliseconds: something else may
 * keep it alive.
 */
const GRACE = 200;
/** How often it beats, as a worker does, milliseconds. */
const BEAT = 1000;

class SingleRole {
  #cluster;
  #config;
  #native;
  #counters;
  #traffic;
  #listeners = new ListenerSet(() => this.#native, (message) => warn(this.#cluster, message));
  #monitorApp;
  #endHeartbeat;
  #beats;
  #idle;
  #drained;
  /** Resolves when the listening sockets are closed: their addresses are free. */
  #shut;
  #closeEvent = new CloseEvent();
  /** `idle`, `starting`, `running`, `leaving`, `ended`. */
  #state = 'idle';
  /** The start, from when the app is known. */
  #serving;
  /** Only a signal that the script handles itself asked for the end. */
  #isUpToScript = false;
  /** No end was asked for before the app listened. */
  #isWanted = true;
  #signals = {
    SIGINT: ours(() => this.#onSignal('SIGINT')),
    SIGTERM: ours(() => this.#onSignal('SIGTERM')),
  };

  /** Fails beside a cluster with workers: these run the whole script too. */
  constructor(cluster, config) {
    if (process[MASTER] || process[CURRENT]?.isClaimed) throw secondCluster();
    process[SINGLE] = (process[SINGLE] ?? 0) + 1;
    this.#cluster = cluster;
    this.#config = config;
  }

  get running() {
    return this.#state !== 'idle' && this.#state !== 'ended';
  }

  async listen(create, callback) {
    this.#state = 'starting';
    const passed = await this.#start(create).catch((error) => {
      this.#ended();
      throw error;
    });
    if (this.#isWanted) callback?.(...passed);
  }

  async #start(create) {
    let apps;
    const accept = (app) => (apps = this.#config.listen ? adapt(app, this.#config.ports) : []);
    const passed = create ? await createApp(create, accept) : [accept()];
    checkPorts(apps);
    if (!this.#isWanted) return;
    this.#serving = this.#serve(apps, passed[1]);
    await this.#serving;
    return passed;
  }

  async #serve(apps, monApp) {
    if (monApp) this.#monitorApp = new MonitorApp(monApp);
    this.#enter(apps);
    try {
      // Without the addon it is a promise.
      const host = await resolveHost(this.#config.host);
      const serving = serve(apps, host, () => this.#isWanted);
      this.#listeners.servers = await serving.catch((error) => {
        throw listenError(error);
      });
      if (!this.#isWanted) return this.#end();
      const endpoints = JSON.stringify(this.#listeners.servers.map(endpointOf));
      native(() => this.#native.serve(endpoints, this.#monitorApp !== undefined));
    } catch (error) {
      this.#end();
      throw error;
    }
    this.#state = 'running';
    this.#closeEvent.tellEarly(apps.map(({ server }) => server));
    for (const [signal, handler] of Object.entries(this.#signals)) {
      process.prependListener(signal, handler);
    }
    const makeBeat = () => this.#native.beat(BEAT);
    makeBeat();
    this.#beats = setInterval(makeBeat, BEAT).unref();
    this.#idle = new IdleTimeout(this.#traffic, this.#counters, this.#config.timeout);
    this.#endHeartbeat = beat(this.#cluster, this.#config, () => this.#status());
  }

  // The monitor's port is bound before the app's: mistakes of the user show before any client is
  // served.
  #enter(apps) {
    const config = JSON.stringify(this.#config);
    const take = () => this.#native?.take() ?? null;
    const events = new AddonEvents(take, (event) => this.#onEvent(event));
    const make = () => new addon.NativeSingle(config, about(process.argv[1]), events.wake);
    this.#native = native(make);
    this.#counters = new Counters(this.#native.row());
    this.#traffic = new Traffic(this.#counters);
    for (const { server } of apps) this.#traffic.watch(server);
    const tell = {
      checked: (problem) => this.#native.checked(problem ?? undefined),
      switched: (disabled, by) => this.#native.switched(disabled, by),
      warn: (message) => warn(this.#cluster, message),
    };
    const header = new Float64Array(this.#native.header());
    const makeNative = (ecv) => native(() => this.#native.healthCheck(ecv));
    const check = new HealthCheck(this.#config, tell, { header, makeNative });
    apps.forEach((app) => check.guard(app));
  }

  #onEvent(event) {
    switch (event.type) {
      case 'disable':
        return this.#cluster.emit('disable', { reason: event.reason, pid: event.pid ?? undefined });
      case 'enable':
        return this.#cluster.emit('enable');
      case 'validate':
        return onValidate(event, this.#config, this.#native);
      case 'visitor':
        this.#native.visitorTaken();
        return this.#monitorApp.take(event.fd);
      default:
        return warn(this.#cluster, event.message);
    }
  }

  command(command) {
    return this.#state === 'starting' ? this.#commandAtStart(command) : this.#command(command);
  }

  // As long as nothing listens there is nothing to end. A start that has gone further is ended when
  // it is done.
  async #commandAtStart(command) {
    const isEnd = command.command === 'stop' || command.command === 'shutdown';
    if (!isEnd) return remote.ask(this.#config.pids, command);
    this.#isWanted = false;
    if (!this.#serving) this.#state = 'ended';
    // The caller of `listen` gets the error of a start that failed.
    else await this.#serving.catch(() => {});
    return { running: true, pid: process.pid };
  }

  #command({ command, wait, disabled }) {
    switch (command) {
      case 'ecv':
        return this.#switch(disabled);
      case 'status':
        return Promise.resolve(this.#status());
      case 'stop':
        return this.#stop();
      case 'shutdown':
        this.#isUpToScript = false;
        return this.#shutdown(wait);
      default:
        return Promise.reject(withoutWorkers(command, this.#config.cluster));
    }
  }

  async #switch(disabled) {
    return JSON.parse(native(() => this.#native.switch(disabled)));
  }

  #status() {
    return JSON.parse(this.#native.status());
  }

  // The process goes when its work is done, as it would have gone at once without us; but where the
  // script handles the signal itself, it decides.
  async #onSignal(signal) {
    const isHandled = scriptHandles(signal);
    if (!this.#drained) this.#isUpToScript = isHandled;
    this.#cluster.emit(signal, { pid: process.pid, type: 'master' });
    await this.#shutdown(true);
    // Where connections are unknown, requests may still be answered.
    const grace = showsConnections() ? GRACE : this.#config.shutdownTimeout;
    if (!isHandled) setTimeout(() => process.exit(), grace).unref();
  }

  /** A start goes no further. */
  #end() {
    this.#listeners.servers.forEach((server) => server.close());
    this.#ended();
  }

  #ended() {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    process[SINGLE]--;
    for (const [signal, handler] of Object.entries(this.#signals)) process.off(signal, handler);
    this.#traffic?.close();
    this.#native?.end();
    // A script that ends itself closes its servers when it means to: closed by us, it would get an
    // error.
    if (!this.#isUpToScript) this.#closeEvent.finish(this.#traffic?.servers ?? []);
  }

  #leave() {
    this.#state = 'leaving';
    this.#native.leave();
    this.#endHeartbeat?.();
    clearInterval(this.#beats);
    this.#idle.stop();
  }

  async #stop() {
    if (this.#state === 'running') this.#leave();
    this.#listeners.close();
    for (const socket of this.#traffic.sockets) socket.destroy();
    this.#ended();
    return { running: true, pid: process.pid };
  }

  async #shutdown(wait) {
    this.#drained ??= this.#drain();
    await (wait ? this.#drained : this.#shut);
    return { running: true, pid: process.pid };
  }

  #drain() {
    return new Promise((resolve) => {
      let isShut = false;
      const drain = new Drain(this.#traffic, () => {
        if (!isShut || this.#traffic.size > 0) return;
        deadline.clear();
        drain.stop();
        this.#ended();
        resolve();
      });
      const deadline = new Deadline(this.#config.shutdownTimeout, () => this.#cut(drain));
      this.#leave();
      drain.start();
      // Not before the script's own handlers of a signal, which may close servers.
      setImmediate(() => this.#closeEvent.start());
      this.#shut = this.#listeners.shut();
      this.#shut.then(() => {
        isShut = true;
        drain.check();
      });
    });
  }

  #cut(drain) {
    const { size } = this.#traffic;
    const limit = this.#config.shutdownTimeout;
    const [what, fate] = size === 1
      ? ['1 connection', 'it was cut']
      : [`${size} connections`, 'they were cut'];
    warn(this.#cluster, `${what} did not finish within ${limit} ms (shutdownTimeout); ${fate}`);
    drain.stop();
    this.#listeners.close();
    for (const socket of this.#traffic.sockets) socket.destroy();
  }
}

module.exports = { SingleRole };
