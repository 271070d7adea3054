'use strict';

// The errors of a process without workers.

const { ClusterError } = require('../errors');
const { isInherited } = require('../http/endpoint');
const { missing } = require('../native');

/**
 * The error of a command that needs workers.
 * @param {string} command
 * @param {boolean} isAsked whether the options ask for workers, so that only the addon is missing
 */
function withoutWorkers(command, isAsked) {
  const cannot = `cannot ${command}: there are no workers`;
  return isAsked
    ? new ClusterError('CLUSTER2_ERR_PLATFORM', `${cannot}: ${missing}`)
    : new ClusterError('CLUSTER2_ERR_WRONG_STATE', `${cannot} (option 'cluster' is false)`);
}

/** Throws for a port that only a cluster with workers can serve. */
function checkPorts(apps) {
  const passed = apps.flatMap(({ ports }) => ports).find(isInherited);
  if (passed === undefined) return;
  const message = `cannot listen on '${passed}': a socket that was passed is for workers`;
  throw new ClusterError('CLUSTER2_ERR_LISTEN', missing ? `${message}: ${missing}` : message);
}

/** Turns an error of Node's `listen` into the one for users. */
function listenError(error) {
  const hasPort = error.address && error.port !== undefined;
  const address = hasPort ? `${error.address}:${error.port}` : error.address;
  if (error.code === 'EADDRINUSE') {
    return new ClusterError('CLUSTER2_ERR_PORT_IN_USE', `address ${address} is already in use`);
  }
  if (error.code === 'EACCES') {
    return new ClusterError('CLUSTER2_ERR_PORT_DENIED', `no permission to listen on ${address}`);
  }
  const message = `cannot listen on ${address}: ${error.message}`;
  return new ClusterError('CLUSTER2_ERR_LISTEN', message, { cause: error });
}

module.exports = { checkPorts, listenError, withoutWorkers };
