'use strict';

// One process without workers, as `src/single.rs`. The class has the methods of `NativeSingle`,
// except those of the monitor, which needs the addon.

const os = require('node:os');
const path = require('node:path');
const { version } = require('../../package.json');
const { now } = require('../clock');
const { Counters } = require('../http/counters');
const { appName } = require('./app');
const { failure } = require('./errors');
const { Header } = require('./header');
const { HealthCheck } = require('./health-check');
const { Journal } = require('./journal');
const { addressOf, statusOf } = require('./status');
const { UsageSamples } = require('./usage');

/**
 * How long a shutdown goes on accepting clients, milliseconds. JavaScript cannot refuse new ones.
 */
const ACCEPT_WITHIN = 500;

class Single {
  #config;
  #info;
  #wake;
  #events = [];
  #isAwake = false;
  #header = new Header();
  #counters = new Counters();
  #listening = [];
  #usage = new UsageSamples(now());
  #journal = new Journal();
  #isLeaving = false;
  #problem;
  #wasWell = true;
  #nextBeat = Infinity;
  #queue = { accepted: undefined, since: undefined };

  constructor(config, about, wake, missing) {
    this.#config = JSON.parse(config);
    this.#wake = wake;
    const { node, root, script = null } = JSON.parse(about);
    const { name, cwd } = this.#config;
    this.#info = {
      name: name ?? appName(root), script, directory: path.resolve(cwd ?? ''),
      startedAt: new Date().toISOString(), version, node, hostname: os.hostname(),
    };
    this.#checkScript(missing);
    const lacking = this.#lacking();
    if (lacking) this.#warn(`this is one process, without ${lacking}: ${missing}`);
  }

  // A script that only starts workers has an app that nobody is meant to reach.
  #checkScript(missing) {
    const { cluster, exec } = this.#config;
    if (!cluster || exec === null) return;
    const message = `option 'exec': there are no workers to run ${exec}; run it by node`;
    throw failure('CLUSTER2_ERR_PLATFORM', `${message}: ${missing}`);
  }

  /** What was asked for and is not there, in words. */
  #lacking() {
    const { cluster, monPort } = this.#config;
    const parts = [cluster && 'workers', monPort !== null && 'monitor'].filter(Boolean);
    return parts.join(' and ');
  }

  take() {
    if (this.#events.length === 0) {
      this.#isAwake = false;
      return null;
    }
    return JSON.stringify(this.#events.splice(0));
  }

  #emit(event) {
    this.#journal.add(event);
    this.#events.push(event);
    if (this.#isAwake) return;
    this.#isAwake = true;
    setImmediate(this.#wake);
  }

  #warn(message) {
    this.#emit({ type: 'warning', message });
  }

  serve(endpoints) {
    this.#listening = JSON.parse(endpoints);
    const addresses = this.#listening.map(addressOf);
    this.#journal.add({ type: 'listening', pid: process.pid, addresses });
  }

  healthCheck(config) {
    return new HealthCheck(config, this.#header);
  }

  checked(problem) {
    this.#problem = problem;
    const isWell = problem === undefined;
    if (isWell === this.#wasWell) return;
    this.#wasWell = isWell;
    if (isWell) this.#emit({ type: 'enable' });
    else this.#emit({ type: 'disable', reason: problem, pid: process.pid });
  }

  switched(disabled, by) {
    if (disabled) this.#emit({ type: 'disable', reason: `switched off by ${by}` });
    else this.#emit({ type: 'enable' });
  }

  switch(disabled) {
    if (this.#config.ecv === null) {
      const message = 'cannot switch the health check while the cluster is without one';
      throw failure('CLUSTER2_ERR_WRONG_STATE', message);
    }
    if (this.#header.switch(disabled)) this.switched(disabled, 'a command');
    const since = new Date(this.#header.since).toISOString();
    return JSON.stringify({ disabled: this.#header.isDisabled, since });
  }

  beat(interval) {
    const at = now();
    const { user, system } = process.cpuUsage();
    Object.assign(this.#counters, {
      beat: at,
      eventLoopDelay: Math.max(0, at - this.#nextBeat),
      rss: process.memoryUsage.rss(),
      cpu: (user + system) / 1e3,
    });
    const idle = performance.eventLoopUtilization?.().idle ?? 0;
    this.#usage.take({ at, cpu: this.#counters.cpu, idle });
    this.#nextBeat = at + interval;
  }

  status() {
    const { isDisabled, since } = this.#header;
    return JSON.stringify(statusOf({
      info: this.#info,
      isLeaving: this.#isLeaving,
      listening: this.#listening,
      numbers: this.#counters.snapshot(),
      health: { isDisabled, since, problem: this.#problem },
      rates: {
        cpuPercent: this.#usage.cpuPercent(now(), this.#counters.cpu),
        eventLoopUtilization: this.#usage.utilization,
      },
      events: this.#journal.records,
    }));
  }

  leave() {
    this.#isLeaving = true;
    this.#header.leave();
  }

  /** There is no monitor to end. */
  end() {}

  header() {
    return this.#header.memory;
  }

  row() {
    return this.#counters.row.buffer;
  }

  /** Nothing can: no handshake is worth waiting for. */
  refuseNew() {
    return false;
  }

  // No API shows the queue. Node takes what is in it in each turn of the event loop, so it was
  // empty in a turn without a new connection.
  hasWaiting() {
    const { accepted, since = now() } = this.#queue;
    this.#queue = { accepted: this.#counters.connectionsTotal, since };
    return accepted !== this.#queue.accepted && now() - since < ACCEPT_WITHIN;
  }
}

/** The class as the addon has it. */
function singleOf(missing) {
  return class NativeSingle extends Single {
    constructor(config, about, wake) {
      super(config, about, wake, missing);
    }
  };
}

module.exports = { singleOf };
