'use strict';

// A `Cluster` with `cluster: false`: the app in this very process, without workers. What always holds:
// who was through the handshake before a shutdown is served, as in a cluster (src/os/listener.rs); and
// after a shutdown that came before the app listens, it never does.

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
const { ClusterError, native } = require('../errors');
const remote = require('../remote');
const { ours, scriptHandles } = require('../cluster/script-signals');
const { IdleTimeout } = require('../http/idle-timeout');
const { MonitorApp } = require('../app/monitor-app');
const addon = require('../native');
const { Traffic } = require('../http/traffic');
const { onValidate } = require('../http/validator');
const { ListenerSet } = require('./listeners');

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
  #listeners = new ListenerSet((message) => warn(this.#cluster, message));
  #monitorApp;
  #heartbeat;
  #beats;
  #idle;
  #drained;
  /** The door is closed: its addresses are free. */
  #shut;
  #closeEvent = new CloseEvent();
  /** `idle`, `starting`, `running`, `leaving`, `ended`. */
  #state = 'idle';
  /** The start, from when the app is known. */
  #serving;
  /** A signal that the script handles itself asked for the end, and nobody else did. */
  #isUpToScript = false;
  /** Nobody asked for an end before the app listened. */
  #isWanted = true;
  #signals = { SIGINT: ours(() => this.#onSignal('SIGINT')), SIGTERM: ours(() => this.#onSignal('SIGTERM')) };

  constructor(cluster, config) {
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
    const passed = await createApp(create, (app) => (apps = adapt(app, this.#config.ports)));
    if (!this.#isWanted) return;
    this.#serving = this.#serve(apps, passed[1]);
    await this.#serving;
    return passed;
  }

  async #serve(apps, monApp) {
    if (monApp) this.#monitorApp = new MonitorApp(monApp);
    this.#enter(apps);
    try {
      this.#listeners.servers = await serve(apps, resolveHost(this.#config.host), () => this.#isWanted).catch((error) => {
        throw asClusterError(error);
      });
      if (!this.#isWanted) return this.#end();
      const places = JSON.stringify(this.#listeners.servers.map(endpointOf));
      native(() => this.#native.serve(places, this.#monitorApp !== undefined));
    } catch (error) {
      this.#end();
      throw error;
    }
    this.#state = 'running';
    this.#closeEvent.tellEarly(apps.map(({ server }) => server));
    for (const [signal, handler] of Object.entries(this.#signals)) process.prependListener(signal, handler);
    const makeBeat = () => this.#native.beat(BEAT);
    makeBeat();
    this.#beats = setInterval(makeBeat, BEAT).unref();
    this.#idle = new IdleTimeout(this.#traffic, this.#counters, this.#config.timeout);
    this.#heartbeat = beat(this.#cluster, this.#config, () => this.#status());
  }

  // The monitor's port is bound here, before the app's: what a user can get wrong fails before anybody is served.
  #enter(apps) {
    const config = JSON.stringify(this.#config);
    const events = new AddonEvents(() => this.#native?.take() ?? null, (told) => this.#told(told));
    this.#native = native(() => new addon.NativeSingle(config, about(process.argv[1]), events.wake));
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

  command(command) {
    return this.#state === 'starting' ? this.#commandAtStart(command) : this.#command(command);
  }

  // As long as nothing listens there is nothing to end; a start that has gone further is ended when it is done.
  async #commandAtStart(command) {
    const isEnd = command.command === 'stop' || command.command === 'shutdown';
    if (!isEnd) return remote.ask(this.#config.pids, command);
    this.#isWanted = false;
    if (!this.#serving) this.#state = 'ended';
    // Whoever called `listen` is told why it failed.
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

  // The process goes when its work is done, as it would have gone at once without us; but where the
  // script handles the signal itself, it decides.
  async #onSignal(signal) {
    const isHandled = scriptHandles(signal);
    if (!this.#drained) this.#isUpToScript = isHandled;
    this.#cluster.emit(signal, { pid: process.pid, type: 'master' });
    await this.#shutdown(true);
    if (!isHandled) setTimeout(() => process.exit(), GRACE).unref();
  }

  /** A start goes no further. */
  #end() {
    this.#listeners.servers.forEach((server) => server.close());
    this.#ended();
  }

  #ended() {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    for (const [signal, handler] of Object.entries(this.#signals)) process.off(signal, handler);
    this.#traffic?.close();
    this.#native?.end();
    // A script that ends itself closes its servers when it means to: closed by us, it would get an error.
    if (!this.#isUpToScript) this.#closeEvent.finish(this.#traffic?.servers ?? []);
  }

  #leave() {
    this.#state = 'leaving';
    this.#native.leave();
    clearInterval(this.#heartbeat);
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
        clearTimeout(deadline);
        drain.stop();
        this.#ended();
        resolve();
      });
      const deadline = setTimeout(() => this.#cut(drain), this.#config.shutdownTimeout);
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
    warn(this.#cluster, `${size} connections did not finish within ${limit} ms (shutdownTimeout); they were cut`);
    drain.stop();
    this.#listeners.close();
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
