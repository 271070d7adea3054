'use strict';

const { ClusterError } = require('./errors');

/** Under this name `process` keeps the session of a worker (`worker/session.js`), also for a second copy of this package. */
const CURRENT = Symbol.for('cluster2-rs.session');
/** Under this name `process` keeps whether it is a master whose cluster runs. */
const MASTER = Symbol.for('cluster2-rs.master');

/** The error of a second `Cluster` that listens: workers run the whole script, and each is one cluster's. */
function secondCluster() {
  const message =
    'cannot listen: another Cluster listens in this script. One cluster can have several apps and ports, ' +
    '`callback([{ app, port }, …])`; another cluster needs a script of its own';
  return new ClusterError('CLUSTER2_ERR_WRONG_STATE', message);
}

module.exports = { CURRENT, MASTER, secondCluster };
