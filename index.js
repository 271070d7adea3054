'use strict';

const EventEmitter = require('node:events');
const path = require('node:path');
const { checkListenArguments } = require('./lib/app/create-app');
const { fail } = require('./lib/cluster/report');
const { ClusterError, ClusterTypeError } = require('./lib/errors');
const { missing } = require('./lib/native');
const { effective, normalize } = require('./lib/options');
const remote = require('./lib/remote');
const { CURRENT } = require('./lib/symbols');

const WHOLE = 'must be a whole number';

/**
 * A server script as a set of workers that share its ports; see docs/reference/ for options,
 * methods and events.
 *
 * Until `listen()` an instance has no effect on the process. One that only calls `stop()`,
 * `shutdown()` and the like commands the cluster that runs in the same `pids` directory.
 */
class Cluster extends EventEmitter {
  #config;
  #role;

  /**
   * @param {object} [options]
   * @throws {TypeError} `CLUSTER2_ERR_OPTION_UNKNOWN` or `CLUSTER2_ERR_OPTION_INVALID`, naming the
   *   option
   */
  constructor(options) {
    super();
    this.#config = normalize(options);
    this.#config.pids = process[CURRENT]?.identity.pids ?? path.resolve(this.#config.pids);
    this.#config.logs = path.resolve(this.#config.logs);
    /** The options that count, with their defaults. A change here has no effect. */
    this.options = effective(this.#config);
  }

  /**
   * Runs the app: starts the workers in the master, and serves in a worker.
   * @param {(callback: (app: *, monApp?: *) => void) => void} [createApp] needed except with
   *   `listen: false`
   * @param {(app: *, monApp: *) => void} [callback] called when this process listens; in the
   *   master, when its first worker does
   * @throws {TypeError} `CLUSTER2_ERR_APP_INVALID`
   * @throws {ClusterError} `CLUSTER2_ERR_WRONG_STATE` if it listens already
   */
  listen(createApp, callback) {
    checkListenArguments(createApp, callback, this.#config);
    if (this.#role) {
      throw new ClusterError('CLUSTER2_ERR_WRONG_STATE', 'cannot listen twice on one Cluster');
    }
    this.#role = this.#makeRole();
    const listening = async () => this.#role.listen(createApp, callback);
    listening().catch((error) => fail(this, error));
  }

  #makeRole() {
    // Required here, not above: a script that only calls `stop()` needs none of them.
    const config = this.#config;
    const isSingle = !config.cluster || missing !== undefined;
    if (isSingle) return new (require('./lib/single/single').SingleRole)(this, config);
    const worker = process[CURRENT];
    if (worker) return new (require('./lib/worker/worker').WorkerRole)(this, this.#config, worker);
    return new (require('./lib/master/master').MasterRole)(this, this.#config);
  }

  #command(command) {
    if (this.#role?.running) return this.#role.command(command);
    return remote.ask(this.#config.pids, command);
  }

  /** Kills all workers, and the master if it is another process. Resolves when they are gone. */
  stop() {
    return this.#command({ command: 'stop' });
  }

  /**
   * Leaves gracefully. Resolves when no new connection is accepted; with `wait`, when all workers
   * are gone.
   * @param {{ wait?: boolean }} [options]
   */
  shutdown({ wait = false } = {}) {
    return this.#command({ command: 'shutdown', wait: Boolean(wait) });
  }

  /**
   * Replaces all workers, one after another, each only after its replacement is ready. Resolves to
   * `{ replaced }`. Rejects with `CLUSTER2_ERR_RELOAD_FAILED` and the reason if a new worker ends
   * before all is over, or does not listen where the old one does; the old workers that are left
   * then stay.
   * @param {{ addresses?: 'may change' }} [options] `addresses`: the new code may listen elsewhere
   */
  reload({ addresses } = {}) {
    if (addresses !== undefined && addresses !== 'may change') {
      const got = `reload({ addresses }): 'may change', or nothing; got ${String(addresses)}`;
      throw new ClusterTypeError('CLUSTER2_ERR_ARGUMENT_INVALID', got);
    }
    return this.#command({ command: 'reload', addressesMayChange: addresses !== undefined });
  }

  /**
   * Has another master take over, without losing a request or a connection: new code of the master,
   * another version of Node or of cluster2-rs, other options. Resolves to `{ pid }`, the new
   * master's, when the old one has nothing left; its process then ends, or stays as a small program
   * that keeps its pid. Rejects with `CLUSTER2_ERR_UPGRADE_FAILED` and the reason if the new one is
   * not ready in time; the old one then goes on.
   * @param {object} [options]
   * @param {string} [options.command] a program in place of the one that started the master
   * @param {string[]} [options.args] the arguments of `command`
   * @param {object} [options.env] variables besides those that the master was started with
   * @param {string} [options.cwd] in place of the directory in which the master was started
   * @param {number} [options.timeout] until all new workers have to be ready, milliseconds
   */
  async upgrade({ command, args, env, cwd, timeout } = {}) {
    this.#checkUpgrade({ command, args, env, cwd });
    if (timeout !== undefined) this.#checkWhole('upgrade({ timeout })', timeout, 1);
    const program = command === undefined ? undefined : [command, ...(args ?? [])];
    return this.#command({ command: 'upgrade', args: program, env, cwd, timeout });
  }

  #checkUpgrade({ command, args, env, cwd }) {
    const isText = (value) => typeof value === 'string' && value !== '' && !value.includes('\0');
    const isArg = (value) => typeof value === 'string' && !value.includes('\0');
    const fail = (what, expected) => {
      const text = `upgrade({ ${what} }): must be ${expected}`;
      throw new ClusterTypeError('CLUSTER2_ERR_ARGUMENT_INVALID', text);
    };
    if (command !== undefined && !isText(command)) fail('command', 'the name of a program');
    if (cwd !== undefined && !isText(cwd)) fail('cwd', 'the path of a directory');
    if (args !== undefined && !(Array.isArray(args) && args.every(isArg))) {
      fail('args', 'a list of texts');
    }
    if (args !== undefined && command === undefined) fail('args', 'given with command');
    const values = env === undefined ? [] : Object.values(Object(env));
    if (env !== undefined && (typeof env !== 'object' || !values.every(isArg))) {
      fail('env', 'an object of texts');
    }
  }

  /**
   * Has all workers open their log files again (`output: 'files'`), after a rotation. Resolves when
   * all have, to `{ workers }`.
   */
  reopenLogs() {
    return this.#command({ command: 'reopenLogs' });
  }

  /** Changes the number of workers. */
  scale(workers) {
    this.#checkWhole('scale(workers)', workers, 1);
    return this.#command({ command: 'scale', workers });
  }

  /** The state of master and workers; `{ running: false }` if none runs. */
  status() {
    return this.#command({ command: 'status' });
  }

  /**
   * What a worker executes, also while its event loop is stuck. Resolves within about a second.
   * @param {number} pid
   */
  stack(pid) {
    this.#checkWhole('stack(pid)', pid, 1);
    const show = ({ stuckFor, ...execution }) => {
      // Required here, not above: with it come source maps, which no worker needs.
      const { executing } = require('./lib/cluster/executing');
      return { pid, stuckFor, ...executing(execution, this.#config) };
    };
    return this.#command({ command: 'stack', pid }).then(show);
  }

  /** Takes the cluster out of the load balancers' rotation: the health check answers DISABLED. */
  disable() {
    return this.#command({ command: 'ecv', disabled: true });
  }

  /** Brings the cluster back: the health check answers its finding. */
  enable() {
    return this.#command({ command: 'ecv', disabled: false });
  }

  /**
   * Sends a message to one worker, which gets it by `process.on('message')` and by the event
   * `message`.
   */
  send(pid, message) {
    this.#checkWhole('send(pid, message)', pid, 1);
    const text = this.#print('send(pid, message)', message);
    return this.#command({ command: 'send', pid, message: text });
  }

  /** Sends a message to all workers. */
  broadcast(message) {
    const text = this.#print('broadcast(message)', message);
    return this.#command({ command: 'broadcast', message: text });
  }

  #checkWhole(call, value, min) {
    if (Number.isInteger(value) && value >= min && value <= 0xffffffff) return;
    const message = `${call}: ${WHOLE} from ${min}; got ${String(value)}`;
    throw new ClusterTypeError('CLUSTER2_ERR_ARGUMENT_INVALID', message);
  }

  #print(call, message) {
    let problem = 'it holds nothing that JSON knows';
    try {
      const text = JSON.stringify(message ?? null);
      if (text !== undefined) return text;
    } catch (error) {
      problem = error.message;
    }
    const text = `${call}: the message cannot be sent as JSON: ${problem}`;
    throw new ClusterTypeError('CLUSTER2_ERR_ARGUMENT_INVALID', text);
  }
}

/**
 * Says what to write instead of `Cluster(options)` and `Cluster.call(this, options)`, which
 * JavaScript refuses for a class.
 */
const exported = new Proxy(Cluster, {
  apply() {
    const message =
      'Cluster is a class: write `new Cluster(options)`, and `class MyCluster extends Cluster` ' +
      'with `super(options)` in place of `Cluster.call(this, options)` and `util.inherits`';
    throw new ClusterTypeError('CLUSTER2_ERR_ARGUMENT_INVALID', message);
  },
});
Cluster.prototype.constructor = exported;

module.exports = exported;
module.exports.Cluster = exported;
module.exports.ClusterError = ClusterError;
module.exports.native = missing === undefined;
