'use strict';

// The cluster of `fixtures/hammered.js`, and tools to observe it.

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { request } = require('./client');
const { Script } = require('./cluster');
const { freePort } = require('./ports');

/** Starts the cluster and waits until its workers are ready. `settings` are those of `Script`. */
async function startServer({ options = {}, port, ...settings } = {}) {
  const script = new Script('hammered.js', {
    port: port ?? (await freePort()),
    options,
    ...settings,
  });
  return script.ready(options.noWorkers ?? 2);
}

/** Writes the code that the next worker runs. */
function change(script, code) {
  fs.writeFileSync(path.join(script.cwd, 'app.js'), code);
}

/**
 * Calls a method of the cluster in the master, through a worker. The answer is the event `answer`.
 */
async function callInMaster(script, ...call) {
  await request(script.port, `/master/call/${encodeURIComponent(JSON.stringify(call))}`);
}

/** Waits for the answer to a call of `callInMaster`. */
function answerOf(script, method) {
  const find = () => script.emitted('answer').find(([name]) => name === method)?.[1];
  return script.until(`the master answers ${method}`, find, 20_000);
}

/** Returns the version that answers. */
async function versionOf(port) {
  return (await request(port, '/now/version/0')).body.split(' ').at(-2);
}

/**
 * Returns the version that answers after a reload, once the old workers are gone: they are told to
 * leave a moment after its end.
 */
async function newVersionOf(script) {
  await script.until('the old workers are gone', () => script.workers().length === 2);
  return versionOf(script.port);
}

/** Returns the pid of a worker that answers. */
async function someWorker(port) {
  return Number((await request(port, '/now/who/0')).body.split(' ').at(-1));
}

/**
 * A file in which workers log the requests and connections that they take. `remove()` deletes it.
 */
class Log {
  #directory = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-log-'));
  file = path.join(this.#directory, 'log');

  /** Returns the client ports of all connections that the process took. */
  portsOf(pid) {
    if (!fs.existsSync(this.file)) return new Set();
    const lines = fs
      .readFileSync(this.file, 'utf8')
      .split('\n')
      .map((line) => line.split(' '));
    return new Set(
      lines
        .filter(([who, what]) => who === String(pid) && what === 'connection')
        .map(([, , port]) => Number(port)),
    );
  }

  remove() {
    fs.rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Checks that the master exited by itself with code 0. */
async function assertCleanEnd(script, deadline) {
  assert.deepStrictEqual(
    await script.ended(deadline),
    { code: 0, signal: null },
    script.output + script.errors,
  );
  assert.strictEqual(script.errors, '');
}

/**
 * Stops the master, and with it the clock of its deadlines, from the fork of the `nth` worker until
 * `isDone()`. On a busy machine Node takes longer to start than a short `startTimeout` allows.
 * @param {string} what the condition, for the error message
 */
async function stopClock(script, nth, what, isDone) {
  await script.until('it is forked', () => script.emitted('forked').length >= nth);
  script.kill('SIGSTOP');
  try {
    await script.until(what, isDone);
  } finally {
    script.kill('SIGCONT');
  }
}

/** Returns the processor time of a process, in milliseconds. */
function cpuOf(pid) {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').pop().split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

module.exports = {
  Log,
  answerOf,
  assertCleanEnd,
  callInMaster,
  change,
  cpuOf,
  newVersionOf,
  someWorker,
  startServer,
  stopClock,
  versionOf,
};
