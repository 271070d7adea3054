'use strict';

// The errors that users get, and texts for the errors of others. All codes are listed in
// `src/error.rs`, those too that only JavaScript throws; a test compares.

/**
 * An error of the cluster. `code` is stable (`CLUSTER2_ERR_…`, listed in docs/reference/errors.md).
 */
class ClusterError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.name = 'ClusterError';
    this.code = code;
  }
}

/** A mistake of the caller in an option or an argument. A `TypeError` with a stable `code`. */
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

/** Calls into the addon. Turns what it throws, and what its promise rejects with. */
function native(call) {
  const rethrow = (error) => {
    throw fromNative(error);
  };
  try {
    const result = call();
    return typeof result?.catch === 'function' ? result.catch(rethrow) : result;
  } catch (error) {
    return rethrow(error);
  }
}

/**
 * The error of a second `Cluster` that listens: workers run the whole script, and each is one
 * cluster's.
 */
function secondCluster() {
  const message =
    'cannot listen: another Cluster listens in this script. One cluster can have several apps ' +
    'and ports, `callback([{ app, port }, …])`; another cluster needs a script of its own';
  return new ClusterError('CLUSTER2_ERR_WRONG_STATE', message);
}

/** The beginning of a foreign text, for a report: at most `limit` characters, none cut in half. */
function shorten(text, limit = 500) {
  return Buffer.from(String(text).slice(0, limit)).toString();
}

/** A text for a thrown value, which may be anything, even without a text. */
function describe(thrown) {
  try {
    return shorten(thrown?.message ?? thrown);
  } catch {
    return 'something that has no words';
  }
}

/** A text for an uncaught error, with its place. */
function describeUncaught(error) {
  // The stack of a SyntaxError begins with the place and not with the message.
  const [first] = String(error?.stack ?? '').split('\n');
  const message = String(error);
  const hasPlace = first && !first.startsWith(message.split('\n')[0]);
  return shorten(hasPlace ? `${message} (${first})` : message);
}

module.exports = {
  ClusterError, ClusterTypeError, create, describe, describeUncaught, fromNative, native,
  secondCluster, shorten,
};
