'use strict';

// A `Cluster` in the master: starts the Rust supervisor and turns what it tells into events.

const path = require('node:path');
const { adapt } = require('../app/adapt');
const { createApp } = require('../app/create-app');
const { about } = require('../cluster/about');
const { AddonEvents } = require('../cluster/addon-events');
const { beat } = require('../cluster/heartbeat');
const { fail, warn } = require('../cluster/report');
const { create: createError, native, secondCluster } = require('../errors');
const { isAbstract, kernelPath } = require('../http/endpoint');
const { onValidate } = require('../http/validator');
const addon = require('../native');
const { passToNode } = require('./node-cluster-message');
const { PRELOAD } = require('../paths');
const remote = require('../remote');
const { MASTER } = require('../symbols');

/** A second Ctrl-C that comes sooner is the first one delivered twice (npm passes on what the terminal sends too), ms. */
const TWICE = 500;
/** What else keeps the master's script alive after the cluster has ended gets this long, milliseconds. */
const GRACE = 200;

class MasterRole {
  #cluster;
  #config;
  #native;
  #events;
  #askedHere = false;
  #failed = false;
  /** When the first signal to end came, by a clock that nobody sets, milliseconds. */
  #interruptedAt;
  #terminal;
  #heartbeat;
  #monitorApp;
  #onListening = () => {};
  #onEnd;
  #end = new Promise((resolve) => (this.#onEnd = resolve));
  #signals = {
    SIGINT: () => this.#onSignal('SIGINT'),
    SIGTERM: () => this.#onSignal('SIGTERM'),
    SIGHUP: () => this.#onHangUp(),
  };

  constructor(cluster, config) {
    if (process[MASTER]) throw secondCluster();
    this.#cluster = cluster;
    this.#config = config;
    // Only where there is something to rotate: to others, such as nodemon, this signal has to end the process.
    if (config.output === 'files') this.#signals.SIGUSR2 = () => this.#native?.signal('reopenLogs');
  }

  get running() {
    return this.#native !== undefined;
  }

  listen(create, callback) {
    let apps;
    // The app itself is of no use here, but a wrong one is the user's error before it is every worker's.
    const created = createApp(create, (app) => (apps = adapt(app, this.#config.ports)));
    // Where it was called back at once, its ports are known before anything is forked.
    const ports = apps?.flatMap((entry) => entry.ports) ?? this.#config.ports;
    native(() => this.#start(ports.map((port) => (isAbstract(port) ? kernelPath(port) : port))));
    process[MASTER] = true;
    this.#heartbeat = beat(this.#cluster, this.#config, () => this.#ask({ command: 'status' }));
    for (const [signal, handler] of Object.entries(this.#signals)) process.on(signal, handler);
    this.#terminal = new addon.NativeTerminal();
    this.#announce(created, callback);
  }

  async #announce(created, callback) {
    const listening = new Promise((resolve) => (this.#onListening = resolve));
    let app, monApp;
    try {
      [app, monApp] = await created;
      if (monApp) this.#serveMonitorApp(monApp);
    } catch (error) {
      if (this.running) await this.command({ command: 'stop' }).catch(() => {});
      return this.#fail(error);
    }
    await listening;
    callback?.(app, monApp);
  }

  #serveMonitorApp(monApp) {
    const { MonitorApp } = require('../app/monitor-app');
    this.#monitorApp = new MonitorApp(monApp);
    this.#native?.forwardToApp();
  }

  #start(ports) {
    const { args, env, cwd, exec, execArgv } = this.#config;
    const script = exec ? path.resolve(exec) : process.argv[1];
    if (!script) {
      const message = "option 'exec' must be the path of the workers' script, where the master is not a script itself; got nothing";
      throw createError({ code: 'CLUSTER2_ERR_OPTION_INVALID', message });
    }
    const launch = {
      program: process.execPath,
      flags: ['--require', PRELOAD, ...(execArgv ?? process.execArgv)],
      args: [script, ...(args ?? process.argv.slice(2))],
      env: { ...process.env, ...env },
      cwd: cwd ? path.resolve(cwd) : null,
    };
    const options = JSON.stringify({ ...this.#config, ports });
    const events = new AddonEvents(() => master.take(), (told) => this.#told(told));
    const master = new addon.NativeMaster(options, JSON.stringify(launch), about(script), events.wake);
    this.#native = master;
    this.#events = events;
  }

  /** Asks the supervisor, for a method of the cluster (`Command` of `src/protocol/control.rs`). */
  async command(command) {
    const isEnd = command.command === 'stop' || (command.command === 'shutdown' && command.wait);
    if (isEnd || command.command === 'shutdown') this.#askedHere = true;
    const answer = await this.#ask(command);
    // Whoever waits for the end has been told of each worker's.
    if (isEnd) await this.#end;
    return answer;
  }

  async #ask(command) {
    const answer = await native(() => this.#native.command(JSON.stringify(command)));
    // Asked too late, it is answered as it is to any process: nothing runs any more.
    if (answer === null) return remote.ask(this.#config.pids, command);
    // Events of what came before the answer are emitted before whoever asked goes on.
    this.#events.catchUp();
    const { ok, error } = JSON.parse(answer);
    if (error) throw createError(error);
    return ok;
  }

  #told(told) {
    const cluster = this.#cluster;
    switch (told.type) {
      case 'forked':
        return cluster.emit('forked', told.pid);
      case 'listening':
        this.#onListening();
        return cluster.emit('listening', told.pid);
      case 'died':
        return this.#died(told);
      case 'signal':
        return cluster.emit(told.signal, { pid: told.pid, type: 'worker' });
      case 'message':
        passToNode(cluster, told);
        return cluster.emit('message', told.pid, told.message);
      case 'reloading':
        return cluster.emit('reloading', told.pid, { slot: told.slot, replaced: told.replaced, total: told.total });
      case 'reload':
        return cluster.emit('reload', { replaced: told.replaced });
      case 'recycle':
        return cluster.emit('recycle', told.pid, { reason: told.reason });
      case 'unresponsive':
        return cluster.emit('unresponsive', told.pid, { age: told.age });
      case 'warning':
        return warn(cluster, told.message);
      case 'disable':
        return cluster.emit('disable', { reason: told.reason, pid: told.pid ?? undefined });
      case 'enable':
        return cluster.emit('enable');
      case 'validate':
        return onValidate(told, this.#config, this.#native);
      case 'visitor':
        this.#native?.visitorTaken();
        return this.#monitorApp.take(told.fd);
      default:
        return this.#finished(told.error);
    }
  }

  #died({ pid, code, signal, reason }) {
    if (signal === 'SIGKILL') this.#cluster.emit('SIGKILL', { pid, type: 'worker' });
    this.#cluster.emit('died', pid, { code, signal, reason });
  }

  #onSignal(signal) {
    this.#cluster.emit(signal, { pid: process.pid, type: 'master' });
    const now = performance.now();
    const first = this.#interruptedAt === undefined;
    const again = signal === 'SIGINT' && !first && now - this.#interruptedAt > TWICE;
    if (first) this.#interruptedAt = now;
    if (first || again) this.#native?.signal(again ? 'stop' : 'shutdown');
  }

  #onHangUp() {
    // With the terminal whoever looked on is gone: it ends the cluster as it ends any program.
    if (this.#terminal.isGone()) return this.#onSignal('SIGHUP');
    this.#cluster.emit('SIGHUP', { pid: process.pid, type: 'master' });
    this.#native?.signal('reload');
  }

  #finished(error) {
    clearInterval(this.#heartbeat);
    for (const [signal, handler] of Object.entries(this.#signals)) process.off(signal, handler);
    this.#native = undefined;
    process[MASTER] = false;
    this.#onEnd();
    if (error) return this.#fail(createError(error));
    // Whoever asked from outside, or by a signal, wants the process gone; whoever called a method may go on.
    if (!this.#askedHere) setTimeout(() => process.exit(), GRACE).unref();
  }

  // A start fails once, even if master and workers find something wrong with the same app.
  #fail(error) {
    if (this.#failed) return;
    this.#failed = true;
    fail(this.#cluster, error);
  }
}

module.exports = { MasterRole };
