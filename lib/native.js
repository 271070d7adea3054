'use strict';

// The addon of this process: in a worker its own small one, elsewhere the main one, which has all
// of the worker's too. What only the main one has comes from `native-main`.

const { addonOf } = require('./load-addon');

/** The preload takes it away once this has run. */
const isWorker = Boolean(process.env.CLUSTER2_WORKER);

module.exports = addonOf(isWorker ? 'worker' : 'main');
