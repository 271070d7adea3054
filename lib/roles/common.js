'use strict';

// What the roles of a `Cluster` share.

const fs = require('node:fs');
const path = require('node:path');
const { ClusterTypeError, native } = require('../errors');
const addon = require('../native');
const { validate } = require('../validate');

/**
 * Calls the user's `createApp(callback)`.
 * @param {Function} create
 * @param {(app: *) => void} check called with the app as soon as there is one; what it throws rejects
 * @returns {Promise<[app: *, monApp: *]>} what was passed to the callback; its first call counts
 * @throws what goes wrong before `create` returns
 */
function createApp(create, check) {
  let early;
  let isFirst = true;
  const called = new Promise((resolve, reject) => {
    const fail = (error) => {
      early ??= { error };
      reject(error);
    };
    const callback = (app, monApp) => {
      if (!isFirst) return;
      isFirst = false;
      try {
        check(app);
        resolve([app, monApp]);
      } catch (error) {
        fail(error);
      }
    };
    try {
      // An async function's failure would otherwise leave us waiting for a callback that never comes.
      const returned = create(callback);
      if (typeof returned?.then === 'function') returned.then(undefined, reject);
    } catch (error) {
      fail(error);
    }
  });
  // Whoever waits for it is told; if the start fails for another reason, nobody waits.
  called.catch(() => {});
  if (early) throw early.error;
  return called;
}

/** Throws for a `createApp` or a callback that is no function: `CLUSTER2_ERR_APP_INVALID`. */
function checkListenArguments(create, callback) {
  if (typeof create !== 'function') {
    const message = `listen(createApp, callback): createApp must be a function that calls back with the app; got ${typeof create}`;
    throw new ClusterTypeError('CLUSTER2_ERR_APP_INVALID', message);
  }
  if (callback !== undefined && typeof callback !== 'function') {
    const message = `listen(createApp, callback): callback must be a function; got ${typeof callback}`;
    throw new ClusterTypeError('CLUSTER2_ERR_APP_INVALID', message);
  }
}

/** The address behind the `host` option, the same one in master and workers. */
function resolveHost(host) {
  return native(() => addon.resolveHost(host));
}

/** What the addon is told of this process and the app of `script` (`About` of `src/runtime/status.rs`). */
function about(script) {
  return JSON.stringify({ node: process.version, root: rootOf(script) });
}

// The nearest directory with a package.json, as npm has it.
function rootOf(script) {
  const start = script ? path.dirname(path.resolve(script)) : process.cwd();
  for (let at = start; ; at = path.dirname(at)) {
    if (fs.existsSync(path.join(at, 'package.json'))) return at;
    if (at === path.dirname(at)) return start;
  }
}

/** Has the user's validator asked for a check on the monitor's port, and answers. */
async function onValidate({ id, answered }, config, native) {
  const problem = await validate(config.validator, answered, config.ecv.timeout);
  native?.validated(id, problem);
}

/** Emits `heartbeat` at the interval of the options, where somebody listens, without keeping the process alive. */
function beat(cluster, config, stats) {
  return setInterval(async () => {
    if (cluster.listenerCount('heartbeat') === 0) return;
    // A cluster that is just ending has nothing to tell.
    const current = await Promise.resolve(stats()).catch(() => undefined);
    if (current && current.running !== false) cluster.emit('heartbeat', current);
  }, config.heartbeatInterval).unref();
}

/** Emits `warning`, or prints it where nobody listens. */
function warn(cluster, message) {
  if (!cluster.emit('warning', { message })) process.stderr.write(`cluster2: warning: ${message}\n`);
}

// Of what has no code, such as an error of the user's own, the stack says more.
function describe(error) {
  return error?.code ? `${error.message} (${error.code})` : (error?.stack ?? String(error));
}

/** Tells of an error that ends the start: emits `error`, or prints one line and exits with 255, for start scripts. */
function fail(cluster, error) {
  if (cluster.listenerCount('error') > 0) return cluster.emit('error', error);
  process.stderr.write(`cluster2: ${describe(error)}\n`);
  process.exit(255);
}

module.exports = { about, beat, checkListenArguments, createApp, fail, onValidate, resolveHost, warn };
