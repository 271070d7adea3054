'use strict';

// Calls the user's `createApp`, and checks what `listen()` was given.

const { ClusterTypeError } = require('../errors');

/**
 * Calls the user's `createApp(callback)`.
 * @param {Function} create
 * @param {(app: *) => void} check called with the app as soon as there is one; what it throws
 *   rejects
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
      // An async function's failure would otherwise leave us waiting for a callback that never
      // comes.
      const returned = create(callback);
      if (typeof returned?.then === 'function') returned.then(undefined, reject);
    } catch (error) {
      fail(error);
    }
  });
  // A caller that waits for it gets the error. If the start fails for another reason, none waits.
  called.catch(() => {});
  if (early) throw early.error;
  return called;
}

/**
 * Throws for a `createApp` or a callback that is no function: `CLUSTER2_ERR_APP_INVALID`. A cluster
 * that does not listen needs neither.
 */
function checkListenArguments(create, callback, { listen }) {
  if (typeof create !== 'function' && (listen || create !== undefined)) {
    throw wrong('createApp must be a function that calls back with the app', create);
  }
  if (callback !== undefined && typeof callback !== 'function') {
    throw wrong('callback must be a function', callback);
  }
}

function wrong(expected, got) {
  const message = `listen(createApp, callback): ${expected}; got ${typeof got}`;
  return new ClusterTypeError('CLUSTER2_ERR_APP_INVALID', message);
}

module.exports = { checkListenArguments, createApp };
