'use strict';

// This process as a worker: takes connections and orders off the channel, reports to the master,
// and leaves when it may. There is at most one in a process, made by the preload before the user's
// code runs.

const { now } = require('../clock');
const { Counters } = require('../http/counters');
const { endpointOf } = require('../http/endpoint');
const { HealthCheck } = require('../http/health-check');
const { native, secondCluster } = require('../errors');
const addon = require('../native');
const { leaveWhenIdle, onProcessEnd, outliveMaster } = require('../node-internals');
const { IdleMarks } = require('../http/idle-marks');
const { isPlainHttp1 } = require('../http/server-kind');
const { isTakenAddress } = require('../plain/taken-address');
const { Traffic } = require('../http/traffic');
const { CURRENT, SINGLE } = require('../symbols');
const { Connections } = require('./connections');
const { Departure } = require('./departure');
const { showExecution } = require('./execution');
const { GiveBack } = require('./give-back');
const { LastLines } = require('./last-lines');
const { ListenHook } = require('./listen-hook');
const { prefix } = require('./line-prefix');
const { Spare } = require('./spare');
const { Task } = require('./task');
const { reportUncaught } = require('./uncaught');

const { TakeResult } = addon;

/** After so long it tries again what failed for lack of descriptors, or of room, milliseconds. */
const RETRY = 20;

class Session {
  identity;
  /** The servers that listen, by the master's number. */
  listeners = new Map();
  counters;
  traffic;
  #native;
  #header;
  /** What `take` of the addon writes. */
  #batch = new Int32Array(addon.NativeWorker.batchSize());
  #hook = new ListenHook(this);
  /** How it ends. */
  departure;
  connections = new Connections(this);
  #lastLines;
  #isClaimed = false;
  /** All servers of the app have listened. */
  wasReady = false;
  /** Sets whether the process goes on while its channel is open. */
  #stay = () => {};
  /** Connections on their way back to the master. */
  back;
  #again;
  /** Requests that others answer if this worker ends with them, where the option `retry` is on. */
  #retry;
  /** Serves a script that knows nothing of us. */
  #plain;
  /** If this worker does not listen. */
  task;
  spare = new Spare(this);

  constructor(identity) {
    this.identity = identity;
    const { NativeWorker } = addon;
    const { after, endLimit } = identity;
    if (after) native(() => NativeWorker.waitForEnd(JSON.stringify(after), endLimit));
    this.#native = native(() => new NativeWorker(identity.row));
    this.back = new GiveBack(this.#native, () => this.#tryAgain());
    this.counters = new Counters(this.#native.row());
    this.#header = new Float64Array(this.#native.header());
    this.#lastLines = new LastLines(this.#native.lastText());
    this.traffic = new Traffic(this.counters);
    this.departure = new Departure(this);
    if (!identity.retry) return;
    const { Retry } = require('./retry');
    this.#retry = this.traffic.retry = new Retry(this.traffic);
  }

  start() {
    const expectEnd = onProcessEnd(() => this.#leaveAtOnce());
    process.on('uncaughtExceptionMonitor', (error) => {
      reportUncaught(this, error, this.wasReady ? this.#lastLines : undefined);
      expectEnd();
      // The master says it in one line.
      if (this.#plain && !this.wasReady && isTakenAddress(error)) process.exit(1);
    });
    // Before the last lines, which are what the script wrote.
    if (this.identity.output === 'prefix') prefix(this.identity);
    this.#lastLines.start();
    if (this.identity.cwd) process.chdir(this.identity.cwd);
    // Node would end the process at once when its IPC closes. An orphan of ours finishes first.
    outliveMaster(() => this.#onDisconnect());
    this.#hook.install();
    showExecution(this.#native);
    const { beat, orphanLimit, seizes, readyAfter } = this.identity;
    native(() => this.#native.watch(beat, orphanLimit, seizes, () => this.#takeAll()));
    const marks = native(() => this.#native.idleMarks());
    if (marks) this.traffic.marks = new IdleMarks(marks, this.traffic);
    if (readyAfter !== undefined) this.task = new Task(this, readyAfter);
    if (!this.identity.serve) return;
    const { PlainRole } = require('../plain/plain');
    this.#plain = new PlainRole(this, this.identity.serve);
    // A script that ends without listening ends at once, as in plain Node, and so is noticed.
    if (!this.task) this.#stay = leaveWhenIdle();
  }

  // By its script, which in node:cluster ends the worker, or by the end of the master: see orders.
  #onDisconnect() {
    if (this.listeners.size > 0 && !this.#native.isMasterEnding()) this.departure.leave();
  }

  #tryAgain() {
    if (this.#again) return;
    this.#again = setTimeout(() => {
      this.#again = undefined;
      if (!native(() => this.#native.catchUp())) this.#tryAgain();
      this.back.giveKept();
      this.departure.goOn();
      this.#takeAll();
    }, RETRY).unref();
  }

  /** The health check on the app's port; `config`: the options. */
  healthCheck(config) {
    const tell = {
      checked: (problem) => this.report({ type: 'checked', problem }),
      switched: (disabled, by) => this.report({ type: 'switched', disabled, by }),
      warn: (message) => this.report({ type: 'warning', message }),
    };
    const makeNative = (ecv) => native(() => this.#native.healthCheck(ecv));
    return new HealthCheck(config, tell, { header: this.#header, makeNative });
  }

  /** Sends a report to the master (`Report` of `src/protocol/messages.rs`). */
  report(report) {
    if (!native(() => this.#native.report(JSON.stringify(report)))) this.#tryAgain();
  }

  /** Reports something and waits for the order that answers. `undefined`: none; use `report`. */
  ask(report) {
    const answer = native(() => this.#native.ask(JSON.stringify(report)));
    return answer ? JSON.parse(answer) : undefined;
  }

  /** The bytes of the request that came with the last connection, if one did. */
  takeRequest() {
    return this.#native.request() ?? undefined;
  }

  /** Serves a listener from now on; its connections come to `connections`. */
  serve({ id, server }) {
    if (!native(() => this.#native.serve(id, isPlainHttp1(server)))) this.#tryAgain();
  }

  /** Lets no further connection of a listener in. */
  stopAccepting(listener) {
    this.#native.stopAccepting(listener);
  }

  /** Lets no further connection in, except by the master. */
  stopAcceptingAll() {
    this.#native.stopAcceptingAll();
  }

  /** Reports that all servers of the app listen. Not `settled`: others may follow. */
  ready(servers, { settled = true } = {}) {
    this.wasReady = true;
    this.report({ type: 'ready', endpoints: servers.map(endpointOf), settled });
  }

  /** Whether a `Cluster` of the script listens. */
  get isClaimed() {
    return this.#isClaimed;
  }

  /** The script has a `Cluster` of its own, whose options count. */
  claim() {
    if (this.#isClaimed || process[SINGLE]) throw secondCluster();
    this.#isClaimed = true;
    this.spare.claim();
    this.#stay(true);
    this.#plain?.stop();
    this.#plain = undefined;
  }

  /** A server is about to listen on a port or a path. */
  onListen(server, port) {
    this.#stay(true);
    this.traffic.watch(server);
    this.#plain?.adopt(server, port);
  }

  /** A server was closed, or failed to listen. */
  onClosed(server) {
    this.traffic.forget(server);
    this.#plain?.forget(server);
    // Without any, a script ends as in plain Node. A worker that leaves ends by order.
    if (this.#plain && !this.departure.isActive) this.#stay(this.#hook.mayListen);
  }

  /** The master hands over no more connections of a listener. */
  forget(listener) {
    this.#hook.forget(listener);
  }

  /** Reports why this worker will never be ready. */
  failed(error) {
    // Printing the error now only repeats it.
    this.#lastLines.end();
    reportUncaught(this, error);
  }

  #takeAll() {
    for (;;) {
      const taken = native(() => this.#native.take(this.#batch));
      if (taken === 0) return;
      if (taken === TakeResult.Orphaned) this.departure.orphan();
      else if (taken === TakeResult.Starved) return this.#tryAgain();
      else if (taken === TakeResult.Order) this.#obeyNext();
      // To look for more would cost each batch a call; the event loop calls if there are.
      else return this.connections.take(this.#batch, taken);
    }
  }

  // `process.exit()` or an uncaught error must cost only what the process executes.
  #leaveAtOnce() {
    try {
      const { connections, departure } = this;
      const unanswered = this.#retry?.unanswered(departure.busy) ?? [];
      const idle = [...connections.untaken(), ...departure.leftovers];
      const given = new Set(this.back.giveLast([...idle, ...unanswered]));
      const message = this.#retry?.describe(unanswered.filter((one) => given.has(one)));
      if (message) this.report({ type: 'warning', message });
    } catch {
      // How the process ends is the script's matter: an error here must not change it.
    }
  }

  #obeyNext() {
    this.#obey(JSON.parse(this.#native.order()));
  }

  #obey(order) {
    switch (order.type) {
      case 'drain':
        return this.departure.start(order);
      case 'leave':
        return this.departure.allow();
      case 'activate':
        return this.spare.activate(() => this.#hook.activate());
      case 'beat':
        return;
      case 'inspect':
        return this.#inspect(order);
      case 'reopen':
        return this.#reopenLogs();
      default:
        return this.#hook.answer(order);
    }
  }

  #inspect(order) {
    const done = (problem) => this.report({ type: 'inspected', problem });
    try {
      const { inspect } = require('./inspection');
      // A beat that is still to come.
      const pause = (ms) => (this.counters.beat = now() + ms);
      inspect(order, { done, pause });
    } catch ({ message }) {
      done(message);
    }
  }

  // If that fails, this worker goes on writing to its old files.
  #reopenLogs() {
    const { logs, slot } = this.identity;
    try {
      native(() => addon.NativeWorker.reopenLogs(logs, slot));
    } catch ({ message }) {
      const what = `worker ${process.pid} goes on with its old log files`;
      this.report({ type: 'warning', message: `${what}: ${message}` });
    }
    this.report({ type: 'reopened' });
  }
}

/** Makes this process a worker; returns its session. */
function enter(identity) {
  const session = (process[CURRENT] = new Session(identity));
  session.start();
  return session;
}

module.exports = { enter };
