'use strict';

/** Under this name `process` keeps the session of a worker (`worker/session.js`), also for a second copy of this package. */
const CURRENT = Symbol.for('cluster2-rs.session');

module.exports = { CURRENT };
