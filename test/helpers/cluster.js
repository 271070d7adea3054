'use strict';

// Starts a script that uses cluster2-rs in a process and a directory of its own, and records its
// output and events.

const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const Cluster = require('../..');
const { NODE } = require('./node');
const { until, within } = require('./wait');

const FIXTURES = path.join(__dirname, '..', 'fixtures');
const CLI = path.join(__dirname, '..', '..', 'bin', 'cluster2');
/** Runs a program as process 1 of a new pid namespace, which ends with it. */
const AS_FIRST = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];
const running = new Set();
/** The `balance` of all clusters that do not set it. */
let policy = process.env.BALANCE;
const usePolicy = (balance) => (policy = balance);

/** The `minReadyTime` of tests that are not about it, in milliseconds. */
const QUICK = 50;

/**
 * A running script. Its events are lines `event {json}` on standard output, written by
 * `fixtures/events.js`.
 */
class Script {
  output = '';
  errors = '';
  #child;
  #container;
  #cli;
  #own;
  #ended;

  /**
   * @param {string} file a file in `test/fixtures`, or an absolute path
   * @param {{ port?: number, env?: object, args?: string[], execArgv?: string[], cwd?: string,
   *   options?: object, uid?: number, detached?: boolean }} [settings]
   *   `options`: of the cluster, for fixtures that read `OPTIONS`
   *   `uid`: the user that runs it
   *   `detached`: in a process group of its own
   *   `descriptors`: how many files each process may have open
   *   `container`: it is process 1 of a pid namespace
   *   `cli`: flags of `cluster2 start`, which then is its master
   *   `node`: path of another Node than this one
   *   `through`: a program and its arguments that start it by exec
   */
  constructor(file, settings = {}) {
    const {
      port,
      env,
      args = [],
      execArgv = [],
      cwd,
      options = {},
      uid,
      detached = false,
    } = settings;
    const { descriptors, container, cli, node = NODE, through = [] } = settings;
    this.port = port;
    this.#container = container;
    this.#own = cwd === undefined;
    this.cwd = cwd ?? fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));
    const script = path.resolve(FIXTURES, file);
    const limited = descriptors ? ['sh', '-c', `ulimit -n ${descriptors}; exec "$0" "$@"`] : [];
    const first = container ? AS_FIRST : through;
    this.#cli = cli !== undefined;
    const own = cli
      ? [CLI, 'start', '--node', node, ...cli, script, '--']
      : [node, ...execArgv, script];
    const [program, ...rest] = [...first, ...limited, ...own, ...args];
    this.#child = spawn(program, rest, {
      cwd: this.cwd,
      env: {
        ...process.env,
        ...(port === undefined ? {} : { PORT: String(port) }),
        OPTIONS: JSON.stringify({
          minReadyTime: QUICK,
          ...(policy && { balance: policy }),
          ...options,
        }),
        ...(cli && { CLUSTER2_MIN_READY_TIME: String(QUICK) }),
        ...(cli && policy && { CLUSTER2_BALANCE: policy }),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached,
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    // Decoded as a stream: a character may come in two parts.
    this.#child.stdout.setEncoding('utf8').on('data', (text) => (this.output += text));
    this.#child.stderr.setEncoding('utf8').on('data', (text) => (this.errors += text));
    this.#ended = new Promise((resolve) => {
      this.#child.on('close', (code, signal) => resolve({ code, signal }));
    });
    running.add(this);
  }

  /** Standard error, without the times of the master's own lines. */
  get untimed() {
    return this.errors.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z (?=cluster2: )/gm, '');
  }

  get pid() {
    return this.#child.pid;
  }

  /** The master's pid, as this process sees it. In a container it is not the started process. */
  get master() {
    return this.#container ? childrenOf(this.pid)[0] : this.pid;
  }

  get pids() {
    return path.join(this.cwd, 'pids');
  }

  /**
   * All events so far, as `[name, ...arguments]`: of the master, or with `allProcesses` of all
   * processes.
   */
  events({ allProcesses = false } = {}) {
    // The last line may not be there as a whole yet.
    const whole = this.output.split('\n').slice(0, -1);
    const lines = whole.filter((line) => line.startsWith('event '));
    const all = lines.map((line) => JSON.parse(line.slice('event '.length)));
    const master = this.#container ? 1 : this.pid;
    return all.filter(({ from }) => allProcesses || from === master).map(({ event }) => event);
  }

  /** The arguments of all events with this name. */
  emitted(name) {
    return this.events().filter((event) => event[0] === name).map((event) => event.slice(1));
  }

  /**
   * Waits until `count` workers are listening (events of `fixtures/events.js`, or lines of the
   * command line).
   */
  async ready(count = 2) {
    const listening = () =>
      this.#cli ? (this.errors.match(/worker \d+ is ready/g) ?? []) : this.emitted('listening');
    await this.until(`${count} workers listen`, () => listening().length >= count);
    return this;
  }

  /** As `until`, but shows the script's output when it fails. */
  async until(what, condition, deadline) {
    try {
      return await until(what, condition, deadline);
    } catch (error) {
      throw new Error(`${error.message}\n--- output\n${this.output}\n--- errors\n${this.errors}`, {
        cause: error,
      });
    }
  }

  /** Pids of the workers that are alive, children of the master. */
  workers() {
    return childrenOf(this.master);
  }

  /** Returns the status of the cluster. It is read by this process, so a condition may poll it. */
  status() {
    return new Cluster({ pids: this.pids }).status();
  }

  kill(signal = 'SIGTERM') {
    if (this.#container) process.kill(this.master, signal);
    else this.#child.kill(signal);
  }

  /**
   * Waits until the master is gone with all its threads and descriptors. Workers may still live,
   * and have the output open.
   */
  exited() {
    return this.until(
      'the master is gone',
      () => this.#child.exitCode !== null || this.#child.signalCode !== null,
    );
  }

  /** Waits until the master has ended and its output is read. Returns `{ code, signal }`. */
  ended(deadline) {
    return within('the script ends', this.#ended, deadline).catch((error) => {
      throw new Error(`${error.message}\n--- output\n${this.output}\n--- errors\n${this.errors}`);
    });
  }

  async cleanUp() {
    // Workers whose master was killed are no longer its children.
    const all = this.events({ allProcesses: true });
    const orphans = all.flatMap(([name, pid]) => (name === 'forked' ? [pid] : [])).filter(isWorker);
    // Masters that took over outlive the one that started them.
    const heirs = all.flatMap(([name, told]) => (name === 'upgrading' ? [told.pid] : []));
    const family = [this.pid, ...heirs.filter(isOurs), ...orphans];
    const isNew = (pid) => !family.includes(pid);
    for (const pid of family) family.push(...childrenOf(pid).filter(isNew));
    for (const pid of family) killHard(pid);
    await this.#ended;
    await until('all workers are gone', () => family.every((pid) => !isAlive(pid)));
    // A directory that was passed is not removed here.
    if (this.#own) fs.rmSync(this.cwd, { recursive: true, force: true });
    running.delete(this);
  }
}

// The kernel lists a child under the thread that started it.
function childrenOf(pid) {
  try {
    const threads = fs.readdirSync(`/proc/${pid}/task`);
    const lists = threads.map((thread) =>
      fs.readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8'),
    );
    return lists.join(' ').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function isAlive(pid) {
  try {
    if (!/^\d+ \(.*\) [ZX]/.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'))) return true;
    // A zombie that its parent has not reaped yet counts as gone, unless some of its threads still
    // exit: until the last has, its descriptors are open.
    return fs.readdirSync(`/proc/${pid}/task`).length > 1;
  } catch {
    return false;
  }
}

const hasVariable = (pid, name) => {
  try {
    return fs.readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`${name}=`);
  } catch {
    return false;
  }
};

const isWorker = (pid) => hasVariable(pid, 'CLUSTER2_WORKER');

/** Whether this is a master that took over, and no other process with its number. */
const isOurs = (pid) => hasVariable(pid, 'CLUSTER2_HEIR');

/**
 * Returns whether tests can run scripts of this project as another user: only root can, and only if
 * others may read the folder.
 */
function canBecomeAnother() {
  if (process.getuid() !== 0) return false;
  for (let folder = path.resolve(__dirname); ; folder = path.dirname(folder)) {
    if ((fs.statSync(folder).mode & 0o005) !== 0o005) return false;
    if (folder === path.dirname(folder)) return true;
  }
}

/** Returns whether tests can start a process 1: not every system allows new pid namespaces. */
function canContain() {
  const [program, ...args] = AS_FIRST;
  return spawnSync(program, [...args, 'true']).status === 0;
}

function killHard(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Already gone.
  }
}

/** Ends all scripts that a test left running. */
async function cleanUpAll() {
  for (const script of [...running]) await script.cleanUp();
}

module.exports = {
  CLI,
  QUICK,
  Script,
  canBecomeAnother,
  canContain,
  childrenOf,
  cleanUpAll,
  isAlive,
  usePolicy,
};
