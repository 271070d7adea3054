'use strict';

/** An error of the cluster. `code` is stable (`CLUSTER2_ERR_…`, listed in docs/reference/errors.md). */
class ClusterError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.name = 'ClusterError';
    this.code = code;
  }
}

/** What the caller got wrong: an option or an argument. A `TypeError` with a stable `code`. */
class ClusterTypeError extends TypeError {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** Makes the error for users from `{ code, message }`. */
function create({ code, message }) {
  const Kind = code.startsWith('CLUSTER2_ERR_OPTION_') ? ClusterTypeError : ClusterError;
  return new Kind(code, message);
}

/** Turns what the addon threw into the error for users; its message is `{"code", "message"}`. */
function fromNative(error) {
  try {
    return create(JSON.parse(error.message));
  } catch {
    return error;
  }
}

/** Calls into the addon. */
function native(call) {
  try {
    return call();
  } catch (error) {
    throw fromNative(error);
  }
}

/** The error of a second `Cluster` that listens: workers run the whole script, and each is one cluster's. */
function secondCluster() {
  const message =
    'cannot listen: another Cluster listens in this script. One cluster can have several apps and ports, ' +
    '`callback([{ app, port }, …])`; another cluster needs a script of its own';
  return new ClusterError('CLUSTER2_ERR_WRONG_STATE', message);
}

module.exports = { ClusterError, ClusterTypeError, create, fromNative, native, secondCluster };
