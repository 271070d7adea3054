'use strict';

// How a `Cluster` reports errors and warnings: by an event, or on standard error if it has no
// listener.

/** Emits `warning`, or prints it if the event has no listener. */
function warn(cluster, message) {
  if (cluster.emit('warning', { message })) return;
  process.stderr.write(`cluster2: warning: ${message}\n`);
}

// An error without a code, such as one of the user, is shown with its stack.
function describe(error) {
  return error?.code ? `${error.message} (${error.code})` : (error?.stack ?? String(error));
}

/**
 * Reports an error that ends the start: emits `error`, or prints one line and exits with 255, for
 * start scripts.
 */
function fail(cluster, error) {
  if (cluster.listenerCount('error') > 0) return cluster.emit('error', error);
  process.stderr.write(`cluster2: ${describe(error)}\n`);
  process.exit(255);
}

module.exports = { fail, warn };
