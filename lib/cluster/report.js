'use strict';

// How a `Cluster` reports what went wrong: by an event, or on standard error where nobody listens.

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

module.exports = { fail, warn };
