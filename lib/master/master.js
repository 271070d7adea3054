'use strict';

// A `Cluster` in the master: starts the supervisor in Rust, and emits its events.

const { constants } = require('node:os');
const path = require('node:path');
const { adapt } = require('../app/adapt');
const { createApp } = require('../app/create-app');
const { about } = require('../cluster/about');
const { AddonEvents } = require('../cluster/addon-events');
const { executing } = require('../cluster/executing');
const { beat } = require('../cluster/heartbeat');
const { fail, print, warn } = require('../cluster/report');
const { create: createError, native, secondCluster } = require('../errors');
const { isAbstract, kernelPath } = require('../http/endpoint');
const { onValidate } = require('../http/validator');
const addon = require('../native-main');
const { passToNode } = require('./node-cluster-message');
const { PRELOAD } = require('../paths');
const remote = require('../remote');
const { MASTER, SINGLE } = require('../symbols');

/**
 * How long the master's script may go on after the cluster has ended, milliseconds: something else
 * may keep it alive.
 */
const GRACE = 200;

/** Passes a signal on to the master that took over, unless that has ended. */
const passOn = (signal) => addon.passOnSignal(constants.signals[signal]);

/** Becomes the program that keeps this pid, where one is needed. Otherwise this process ends. */
function becomeHolder() {
  const problem = addon.becomeHolder();
  if (problem) print(`this process cannot stay: ${problem}`);
}

class MasterRole {
  #cluster;
  #config;
  #native;
  #events;
  #askedHere = false;
  #failed = false;
  /** When the first signal to end came, milliseconds on the monotonic clock. */
  #interruptedAt;
  #terminal;
  #endHeartbeat;
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
    if (process[MASTER] || process[SINGLE]) throw secondCluster();
    this.#cluster = cluster;
    this.#config = config;
    // Only if there are files to rotate: in other cases, such as under nodemon, this signal has to
    // end the process.
    if (config.output === 'files') this.#signals.SIGUSR2 = () => this.#native?.signal('reopenLogs');
  }

  get running() {
    return this.#native !== undefined;
  }

  listen(create, callback) {
    let apps;
    // The app itself is not used here, but a wrong one is the error of the user, not of every
    // worker.
    const created = this.#config.listen
      ? createApp(create, (app) => (apps = adapt(app, this.#config.ports)))
      : Promise.resolve([]);
    // If `create` called back at once, its ports are known before any worker is started.
    const ports = apps?.flatMap((entry) => entry.ports) ?? this.#config.ports;
    native(() => this.#start(ports.map((port) => (isAbstract(port) ? kernelPath(port) : port))));
    process[MASTER] = true;
    this.#endHeartbeat = beat(this.#cluster, this.#config, () => this.#ask({ command: 'status' }));
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
      const message =
        "option 'exec' must be the path of the workers' script, where the master is not a script " +
        'itself; got nothing';
      throw createError({ code: 'CLUSTER2_ERR_OPTION_INVALID', message });
    }
    const launch = {
      program: process.execPath,
      preload: PRELOAD,
      flags: execArgv ?? process.execArgv,
      args: [script, ...(args ?? process.argv.slice(2))],
      env: { ...process.env, ...env },
      cwd: cwd ? path.resolve(cwd) : null,
      command: [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
      commandFlags: process.execArgv.length,
      holder: addon.commandLine,
    };
    const options = JSON.stringify({ ...this.#config, ports });
    const events = new AddonEvents(() => master.take(), (event) => this.#onEvent(event));
    const how = JSON.stringify(launch);
    const master = new addon.NativeMaster(options, how, about(script), events.wake);
    this.#native = master;
    this.#events = events;
  }

  /** Asks the supervisor, for a method of the cluster (`Command` of `src/protocol/control.rs`). */
  async command(command) {
    const isEnd = command.command === 'stop' || (command.command === 'shutdown' && command.wait);
    if (isEnd || command.command === 'shutdown') this.#askedHere = true;
    const answer = await this.#ask(command);
    // The events of each worker's end come before the end of the call.
    if (isEnd) await this.#end;
    return answer;
  }

  async #ask(command) {
    const answer = await native(() => this.#native.command(JSON.stringify(command)));
    // Too late, the answer is the same as for any process: nothing runs any more.
    if (answer === null) return remote.ask(this.#config.pids, command);
    // Events that came before the answer are emitted before the caller goes on.
    this.#events.catchUp();
    const { ok, error } = JSON.parse(answer);
    if (error) throw createError(error);
    return ok;
  }

  #onEvent(event) {
    const cluster = this.#cluster;
    switch (event.type) {
      case 'forked':
        return cluster.emit('forked', event.pid);
      case 'spare':
        return cluster.emit('spare', event.pid);
      case 'activated':
        return cluster.emit('activated', event.pid);
      case 'listening':
        this.#onListening();
        return cluster.emit('listening', event.pid);
      case 'died':
        return this.#died(event);
      case 'signal':
        return cluster.emit(event.signal, { pid: event.pid, type: 'worker' });
      case 'message':
        passToNode(cluster, event);
        return cluster.emit('message', event.pid, event.message);
      case 'reloading':
        return this.#reloading(event);
      case 'reload':
        return cluster.emit('reload', { replaced: event.replaced });
      case 'scale':
        return this.#scaled(event);
      case 'recycle':
        return cluster.emit('recycle', event.pid, { reason: event.reason });
      case 'unresponsive':
        return cluster.emit('unresponsive', event.pid, this.#stuck(event, { age: event.age }));
      case 'blocked':
        return cluster.emit('blocked', event.pid, this.#stuck(event, { duration: event.duration }));
      case 'upgrading':
        return cluster.emit('upgrading', { pid: event.pid });
      case 'upgrade':
        return cluster.emit('upgrade', { pid: event.pid });
      case 'takeover':
        return cluster.emit('takeover', { pid: event.pid, version: event.version });
      case 'warning':
        return warn(cluster, event.message);
      case 'disable':
        return cluster.emit('disable', { reason: event.reason, pid: event.pid ?? undefined });
      case 'enable':
        return cluster.emit('enable');
      case 'overload':
        return this.#overload(event);
      case 'validate':
        return onValidate(event, this.#config, this.#native);
      case 'visitor':
        this.#native?.visitorTaken();
        return this.#monitorApp.take(event.fd);
      default:
        return this.#finished(event);
    }
  }

  #reloading({ pid, slot, replaced, total }) {
    this.#cluster.emit('reloading', pid, { slot, replaced, total });
  }

  #scaled({ from, to, reason, utilization }) {
    this.#cluster.emit('scale', { from, to, reason, utilization });
  }

  #executing(event) {
    return executing(event, this.#config);
  }

  #stuck(event, time) {
    return { ...time, ...this.#executing(event) };
  }

  #overload({ active, shed, duration }) {
    const time = active ? {} : { duration };
    this.#cluster.emit('overload', { active, shed, ...time });
  }

  #died({ pid, code, signal, reason, executed }) {
    if (signal === 'SIGKILL') this.#cluster.emit('SIGKILL', { pid, type: 'worker' });
    const death = { code, signal, reason };
    // It repeats what the worker was killed for.
    if (executed) {
      const { stack, waiting } = this.#executing(executed);
      Object.assign(death, { stack, waiting });
    }
    this.#cluster.emit('died', pid, death);
  }

  #onSignal(signal) {
    this.#cluster.emit(signal, { pid: process.pid, type: 'master' });
    const now = performance.now();
    const isFirst = this.#interruptedAt === undefined;
    if (isFirst) this.#interruptedAt = now;
    const isLater = now - this.#interruptedAt > addon.SECOND_INTERRUPT_AFTER;
    if (isFirst) this.#native?.signal('shutdown');
    else if (signal === 'SIGINT' && isLater) this.#native?.signal('stop');
  }

  #onHangUp() {
    // The terminal is closed: this ends the cluster as it ends any program.
    if (this.#terminal.isGone()) return this.#onSignal('SIGHUP');
    this.#cluster.emit('SIGHUP', { pid: process.pid, type: 'master' });
    this.#native?.signal('reload');
  }

  #finished({ error, successor }) {
    this.#endHeartbeat?.();
    // Another master goes on: nothing of this process may stay but its pid, by which others signal.
    if (successor) return this.#leave();
    for (const [signal, handler] of Object.entries(this.#signals)) process.off(signal, handler);
    this.#native = undefined;
    process[MASTER] = false;
    this.#onEnd();
    if (error) return this.#fail(createError(error));
    // A command from outside and a signal mean the process; a caller of a method may go on.
    if (!this.#askedHere) setTimeout(() => process.exit(), GRACE).unref();
  }

  #leave() {
    for (const [signal, handler] of Object.entries(this.#signals)) {
      process.on(signal, () => passOn(signal)).off(signal, handler);
    }
    // It may have come too late to be passed on.
    if (this.#interruptedAt !== undefined) passOn('SIGTERM');
    this.#native = undefined;
    this.#onEnd();
    process.once('exit', becomeHolder);
    setTimeout(() => {
      addon.passOnAllSignals();
      // Node hears first of those that came before.
      setImmediate(() => process.exit());
    }, GRACE);
  }

  // A start fails once, even if both master and workers find the same app wrong.
  #fail(error) {
    if (this.#failed) return;
    this.#failed = true;
    fail(this.#cluster, error);
  }
}

module.exports = { MasterRole };
