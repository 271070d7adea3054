'use strict';

// A storm: random faults at random moments on one cluster under load; the seed also says whether
// it has spares and `maxWorkers`. Invariants, checked from outside: within `CALM` milliseconds of
// the last fault the cluster is complete again, with its spares; then `status()` lists exactly the
// living children, and no child is a zombie; and each failed request was on a connection that a
// dead worker had taken.

const assert = require('node:assert');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');
const { promisify } = require('node:util');
const { request } = require('./client');
const { CLI, childrenOf, isAlive } = require('./cluster');
const hammer = require('./hammer');
const { Log, startServer } = require('./hammered');
const { killHolding, signal, stopHolding } = require('./killed');
const { until } = require('./wait');

const run = promisify(execFile);

/** How long the cluster may take to be complete again, in milliseconds. */
const CALM = 20_000;
const MOST_WORKERS = 5;
/** The `maxWorkers` of clusters whose number of workers follows their work. */
const MOST_FOR_WORK = 7;
const CLIENTS = { keepAlive: 4, agent: 2, oneShot: 6, slow: 2, late: 2, upload: 1, pipelined: 1 };

/** Returns a generator of numbers from 0 to 1 with a seed (mulberry32). */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

class Storm {
  /** The faults so far, for the message of a failure: `[milliseconds since start, fault, …]`. */
  done = [];
  #script;
  #random;
  #began = performance.now();
  /** How many workers were asked for; the least of them if the number follows the work. */
  #workers = 3;
  #log = new Log();
  /** Ports of clients whose connections a worker held that was killed or stopped. */
  #held = [];
  /** Faults that are not undone and commands that are not answered yet. */
  #pending = new Set();
  #scaled = Promise.resolve();
  #failedReloads = 0;

  constructor(seed) {
    this.seed = seed;
    this.#random = random(seed);
    this.cluster = {
      spares: Math.max(0, this.#between(-1, 2)),
      maxWorkers: this.#between(0, 1) ? MOST_FOR_WORK : undefined,
    };
    if (this.cluster.maxWorkers) this.#faults.work = () => this.#work(this.#between(5000, 15_000));
  }

  async start(options = {}) {
    const all = {
      noWorkers: this.#workers,
      maxHeartbeatDelay: 3000,
      shutdownTimeout: 8000,
      ...this.cluster,
      ...options,
    };
    this.#script = await startServer({ options: all, env: { LOG: this.#log.file } });
  }

  #between(low, high) {
    return low + Math.floor(this.#random() * (high - low + 1));
  }

  // All workers may be dead at this moment: then there is nothing to do.
  #toWorker(fault) {
    const workers = this.#script.workers();
    const pid = workers[this.#between(0, workers.length - 1)];
    if (pid !== undefined) fault(pid);
  }

  #note(...fault) {
    this.done.push([Math.round(performance.now() - this.#began), ...fault]);
  }

  // Background work, which the storm waits for at the end of a round.
  #later(work) {
    const pending = work.finally(() => this.#pending.delete(pending));
    this.#pending.add(pending);
  }

  /** Calls the command line. A command may be refused, but is always answered. */
  async #ask(...args) {
    const options = { cwd: this.#script.cwd, timeout: 60_000 };
    const { stdout } = await run(CLI, args, options).catch((error) => {
      assert.ok(
        error.code === 1 && !error.killed,
        `cluster2 ${args}: ${error.message} ${error.stderr}`,
      );
      this.#note('refused', ...args, error.stderr.trim());
      return { stdout: undefined };
    });
    return stdout;
  }

  #faults = {
    kill: () => this.#toWorker((pid) => this.#held.push(...killHolding(pid))),
    leave: () => this.#toWorker((pid) => signal(pid, 'SIGTERM')),
    reload: () => this.#later(this.#reload()),
    scale: () => {
      this.#workers = this.#between(2, MOST_WORKERS);
      const number = String(this.#workers);
      // One after another, so that the last one wins.
      this.#later((this.#scaled = this.#scaled.then(() => this.#ask('scale', number))));
    },
    stopWorker: () => this.#toWorker((pid) => this.#stop(pid, this.#between(50, 1500))),
    stopMaster: () => this.#stop(this.#script.pid, this.#between(50, 1500)),
    block: () => this.#send(`/block/storm/${this.#between(50, 1500)}`),
    flood: () => this.#send(`/flood/storm/${this.#between(50, 800)}`),
    status: () => this.#later(this.#ask('status', '--json')),
    descriptors: () => this.#toWorker((pid) => this.#starve(pid, this.#between(100, 1000))),
  };

  async #reload() {
    if ((await this.#ask('reload')) === undefined) this.#failedReloads += 1;
  }

  #stop(pid, time) {
    this.#held.push(...stopHolding(pid));
    this.#later(sleep(time).then(() => signal(pid, 'SIGCONT')));
  }

  // The worker may be killed before it answers.
  #send(path) {
    this.#later(request(this.#script.port, path).catch(() => {}));
  }

  // Work for several workers, long enough for their number to follow.
  #work(time) {
    const end = performance.now() + time;
    const compute = async () => {
      while (performance.now() < end) {
        await request(this.#script.port, '/block/storm/40').catch(() => sleep(20));
      }
    };
    for (let client = 0; client < 4; client++) this.#later(compute());
  }

  // Limits the worker to a few more open files than it has, and restores the limit later.
  #starve(pid, time) {
    const limit = (soft) =>
      run('prlimit', ['--pid', String(pid), `--nofile=${soft}:`]).catch(() => {});
    const work = async () => {
      const { length } = await fs.promises.readdir(`/proc/${pid}/fd`).catch(() => []);
      if (!length) return;
      await limit(length + this.#between(0, 4));
      await sleep(time);
      await limit(1024);
    };
    this.#later(work());
  }

  /**
   * Loads the cluster, causes `count` faults, waits until it is complete again and checks the
   * invariants.
   * @returns {Promise<object>} the hammer's report
   */
  async round(count) {
    const before = this.#script.emitted('died').length;
    const load = hammer.start(this.#script.port, { clients: CLIENTS, think: 20, deadline: 30_000 });
    await load.answered(20, CALM);
    const names = Object.keys(this.#faults);
    for (let i = 0; i < count; i++) {
      const name = names[this.#between(0, names.length - 1)];
      this.#note(name);
      this.#faults[name]();
      await sleep(this.#between(0, 400));
    }
    await this.#calm();
    await load.answered(20, CALM);
    const report = await load.stop();
    const dead = this.#script.emitted('died').slice(before).map(([pid]) => pid);
    this.#assertOnlyTakenFailed(report, dead);
    fs.truncateSync(this.#log.file);
    this.#held = [];
    return report;
  }

  async #calm() {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    let last;
    const whole = async () => (last = await this.#look()) === undefined;
    await until('the cluster is whole again', whole, CALM).catch((error) => {
      throw new Error(`${error.message}: ${last}`);
    });
  }

  /** Returns what is wrong with the cluster now, or `undefined`. */
  async #look() {
    const text = await this.#ask('status', '--json');
    if (text === undefined) return 'no status';
    const { workers, master } = JSON.parse(text);
    const named = workers.map(({ pid }) => pid);
    const children = childrenOf(this.#script.pid);
    const unknown = children.filter((pid) => !named.includes(pid));
    const gone = named.filter((pid) => !isAlive(pid));
    const [ready, spares] = ['ready', 'spare'].map(
      (state) => workers.filter((worker) => worker.state === state).length,
    );
    const { spares: wanted, maxWorkers: most = this.#workers } = this.cluster;
    if (gone.length > 0) return `status names ${gone}, which do not live`;
    if (unknown.length > 0) return `${unknown} live, or are zombies, and status does not name them`;
    if (master.target < this.#workers || master.target > most) {
      return `${master.target} should serve; ${this.#workers} to ${most} were asked for`;
    }
    if (ready !== master.target || spares !== wanted || workers.length !== ready + spares) {
      return `${workers.length}: ${ready} ready of ${master.target}, ${spares} spares of ${wanted}`;
    }
    return undefined;
  }

  #assertOnlyTakenFailed(report, dead) {
    const taken = new Set([...this.#held, ...dead.flatMap((pid) => [...this.#log.portsOf(pid)])]);
    const innocent = report.troubles.filter(({ localPort }) => !taken.has(localPort));
    assert.deepStrictEqual(innocent, [], 'requests failed that no dead worker had taken');
    const { refused, failed, wrong, timeout } = report;
    assert.deepStrictEqual(
      { refused, failed, wrong, timeout },
      { refused: 0, failed: 0, wrong: 0, timeout: 0 },
    );
  }

  /** Shuts the cluster down, and checks that it exits with code 0 and leaves no process. */
  async end() {
    const forked = this.#script.emitted('forked').flat();
    this.#script.kill();
    // Node itself aborts with a message if it starts without a free descriptor.
    assert.deepStrictEqual(await this.#script.ended(CALM), { code: 0, signal: null });
    const died = this.#script.emitted('died').map(([pid]) => pid);
    assert.deepStrictEqual(died.sort(), forked.sort(), 'each worker that was forked has died once');
    this.#log.remove();
  }

  /** The details to repeat and understand a failed storm. */
  describe(error) {
    const { output = '', errors = '' } = this.#script ?? {};
    const deaths = this.#script?.emitted('died').slice(-20).map((death) => JSON.stringify(death));
    const lines = this.done.slice(-60).map((fault) => fault.join(' '));
    const warnings = output.split('\n').filter((line) => line.includes('"warning"')).slice(-20);
    return [
      `storm of the seed ${this.seed} (CLUSTER2_STORM_SEED=${this.seed} repeats it) on a cluster ` +
        `with ${JSON.stringify(this.cluster)}: ${error.message}`,
      ...['--- faults', ...lines, '--- deaths', ...deaths, '--- warnings', ...warnings],
      ...['--- errors', errors.slice(-4000)],
    ].join('\n');
  }

  get counts() {
    return {
      seed: this.seed,
      ...this.cluster,
      scaled: this.#script.emitted('scale').length,
      faults: this.done.length,
      failedReloads: this.#failedReloads,
      deaths: this.#script.emitted('died').length,
    };
  }
}

/**
 * Runs one storm for `duration` milliseconds, in rounds of `faults` faults.
 * @throws {Error} the invariant that failed, with the seed
 */
async function storm({ seed, duration, faults = 25, options }) {
  const one = new Storm(seed);
  let answered = 0;
  try {
    await one.start(options);
    const end = performance.now() + duration;
    do answered += (await one.round(faults)).ok;
    while (performance.now() < end);
    await one.end();
    return { ...one.counts, answered };
  } catch (error) {
    throw new Error(one.describe(error), { cause: error });
  }
}

/** The seed of CLUSTER2_STORM_SEED, or a random one. */
const anySeed = () =>
  Number(process.env.CLUSTER2_STORM_SEED ?? Math.floor(Math.random() * 2 ** 31));

module.exports = { anySeed, storm };
