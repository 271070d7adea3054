'use strict';

// This process as a worker: takes connections and orders off the channel, reports to the master, and leaves when it may.
// There is at most one in a process, made by the preload before the user's code runs.

const cluster = require('node:cluster');
const { Counters, INDEX } = require('../http/counters');
const { endpointOf } = require('../http/endpoint');
const { HealthCheck } = require('../http/health-check');
const { native, secondCluster } = require('../errors');
const { NUMBERS, enterBeyondLimit, originFrom } = require('../http/moved-connection');
const addon = require('../native');
const { Traffic } = require('../http/traffic');
const { CURRENT } = require('../symbols');
const { lastWords } = require('../text');
const { Departure } = require('./departure');
const { GiveBack } = require('./give-back');
const { intake } = require('./intake');
const { LastLines } = require('./last-lines');
const { ListenHook } = require('./listen-hook');
const { prefix } = require('./line-prefix');

const { TakeResult } = addon;

/** Where descriptors, or room in a socket to the master, are lacking, it is tried again after this time, milliseconds. */
const RETRY = 20;

class Session {
  identity;
  handles = new Map();
  counters;
  traffic;
  #native;
  #header;
  /** What the addon took off the channel last. */
  #batch = new Int32Array(addon.NativeWorker.batchSize());
  #hook = new ListenHook(this);
  /** How it ends. */
  departure;
  #lastLines = new LastLines((lines) => this.report({ type: 'lastLines', lines }));
  #isClaimed = false;
  /** Connections on their way back to the master. */
  back;
  #retrying;
  #watchesRoom = false;
  /** Serves a script that knows nothing of us. */
  #plain;

  constructor(identity) {
    this.identity = identity;
    this.#native = native(() => new addon.NativeWorker(identity.row));
    this.back = new GiveBack(this.#native, () => this.#retry());
    this.counters = new Counters(this.#native.row());
    this.#header = new Float64Array(this.#native.header());
    this.traffic = new Traffic(this.counters);
    this.departure = new Departure(this);
  }

  start() {
    process.on('uncaughtExceptionMonitor', (error) => this.#lastWords(error));
    // Before the last lines, which are remembered as they were written.
    if (this.identity.output === 'prefix') prefix(this.identity);
    this.#lastLines.start();
    if (this.identity.cwd) process.chdir(this.identity.cwd);
    // Node would end the process at once when its IPC closes; an orphan of ours finishes first.
    cluster.worker.exitedAfterDisconnect = true;
    this.#hook.install();
    native(() => this.#native.watch(this.identity.beat, this.identity.orphanLimit, () => this.#takeAll()));
    if (this.identity.serve) this.#plain = new (require('../plain/plain').PlainRole)(this, this.identity.serve);
  }

  #retry() {
    if (this.#retrying) return;
    this.#retrying = setTimeout(() => {
      this.#retrying = undefined;
      if (!native(() => this.#native.catchUp())) this.#retry();
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
    const makeNative = (...args) => native(() => this.#native.ecv(...args));
    return new HealthCheck(config, tell, { header: this.#header, makeNative });
  }

  /** Sends a report to the master (`Report` of `src/protocol/messages.rs`). */
  report(report) {
    if (!native(() => this.#native.report(JSON.stringify(report)))) this.#retry();
  }

  /** As `report`, and waits for the answer, which is an order and perhaps a lane; without one, report it. */
  ask(report) {
    const answer = native(() => this.#native.ask(JSON.stringify(report)));
    return answer ? { ...answer, order: JSON.parse(answer.order) } : undefined;
  }

  /** Reports that all servers of the app listen. Not `settled`: others may follow, of which nobody knows yet. */
  ready(servers, { settled = true } = {}) {
    this.#lastLines.end();
    this.report({ type: 'ready', places: servers.map(endpointOf), settled });
  }

  /** The script has a `Cluster` of its own: it is served as that says. */
  claim() {
    if (this.#isClaimed) throw secondCluster();
    this.#isClaimed = true;
    this.#plain?.stop();
    this.#plain = undefined;
  }

  /** A server is about to listen on a port or a path. */
  onListen(server, port) {
    this.traffic.watch(server);
    this.#plain?.adopt(server, port);
  }

  /** A server listens no more, or never did. */
  onClosed(server) {
    this.traffic.forget(server);
    this.#plain?.forget(server);
  }

  /** Reports why this worker never will be ready. */
  failed(error) {
    // Who prints the error now only repeats it.
    this.#lastLines.end();
    this.#lastWords(error);
  }

  #takeAll() {
    for (;;) {
      const taken = native(() => this.#native.take(this.#batch));
      if (taken === 0) return;
      if (taken === TakeResult.Orphaned) this.departure.orphan();
      else if (taken === TakeResult.Starved) return this.#retry();
      else if (taken === TakeResult.Order) this.#obey(JSON.parse(this.#native.order()), this.#batch[0]);
      // Whether there are more, the event loop tells as soon as these are served: to look here would cost each batch a call.
      else return this.#connections(taken);
    }
  }

  #connections(count) {
    const batch = this.#batch;
    for (let i = 0; i < NUMBERS * count; i += NUMBERS) this.#connection(batch[i], originFrom(batch, i + 1));
  }

  #connection(fd, origin) {
    const listening = this.handles.get(origin.listener);
    if (!this.#mayTake(listening)) return this.#giveBack(fd, origin);
    try {
      const enter = () => intake(fd, listening);
      this.#admit(listening, origin, origin.past ? () => enterBeyondLimit(listening.server, enter) : enter);
    } catch (error) {
      // A 'connection' listener of the app threw: that is an uncaught error, but not of the connections behind this one.
      setImmediate(() => {
        throw error;
      });
    }
  }

  // What comes while a script ends itself goes to another worker. Where none is left, it is taken like
  // what came just before, by a closed server as long as Node waits for other connections of it.
  #mayTake(handle) {
    const { departure } = this;
    if (!handle) return false;
    if (handle.isOpen) return !(departure.isUpToScript && departure.isMoving);
    if (departure.isMoving || !departure.isActive) return false;
    if (!handle.hasConnections) this.#hook.forget(handle);
    return handle.hasConnections;
  }

  /** Has `enter` give a connection to its server. It was counted as active before. */
  #admit(listening, origin, enter) {
    const before = this.traffic.size;
    try {
      listening.enter(() => this.traffic.admit(origin, enter));
    } finally {
      // Not there: its client was gone, or the server had all it wanted (`maxConnections`).
      if (this.traffic.size === before) this.counters.row[INDEX.connectionsActive] -= 1;
    }
  }

  /** A connection came by the lane of `listening`: it is counted here, as `take` of the addon counts the others. */
  accepted(listening, connection) {
    const { row } = this.counters;
    // Where descriptors are lacking, libuv would end who waits on the lane; the master hands over what has room.
    if (connection.fd >= row[INDEX.lastDescriptor]) listening.leaveLane();
    row[INDEX.connectionsActive] += 1;
    row[INDEX.connectionsTotal] += 1;
    this.#admit(listening, listening.origin, () => listening.onconnection(0, connection));
  }

  /** Leaves all lanes as soon as descriptors are lacking, and before anything is accepted. */
  watchRoom() {
    if (this.#watchesRoom) return;
    this.#watchesRoom = true;
    native(() => this.#native.watchRoom(() => {
      this.#watchesRoom = false;
      for (const handle of this.handles.values()) handle.leaveLane();
    }));
  }

  // The server was closed while the connection was on its way; another worker may still serve it.
  #giveBack(fd, { listener, past }) {
    this.counters.connectionsActive -= 1;
    if (!past) this.counters.connectionsTotal -= 1;
    this.back.give(fd, listener, past);
  }

  /** Reports why this process is about to end, for whoever waits for it to become ready. */
  #lastWords(error) {
    try {
      this.report({ type: 'lastWords', words: lastWords(error) });
    } catch {
      // The error itself is what matters, and Node prints it.
    }
  }

  #obey(order, lane) {
    switch (order.type) {
      case 'drain':
        return this.departure.start(order);
      case 'leave':
        return this.departure.allow();
      case 'beat':
        return;
      case 'reopen':
        return this.#reopenLogs();
      default:
        return this.#hook.answer(order, lane);
    }
  }

  /** Who waits there is accepted by the master, or was refused when the master died. */
  closeLanes() {
    for (const handle of this.handles.values()) handle.closeLane();
  }

  // Where that fails, this worker goes on writing into the files that it has.
  #reopenLogs() {
    const { logs, slot } = this.identity;
    try {
      native(() => addon.NativeWorker.reopenLogs(logs, slot));
    } catch ({ message }) {
      this.report({ type: 'warning', message: `worker ${process.pid} goes on with its old log files: ${message}` });
    }
    this.report({ type: 'reopened' });
  }
}

/** Makes this process a worker. */
function enter(identity) {
  const session = new Session(identity);
  process[CURRENT] = session;
  session.start();
}

module.exports = { enter };
