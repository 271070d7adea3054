'use strict';

// The first of our code in a worker (`node --require`): what makes a process a worker is taken out
// of the environment before the user's code runs, so that nothing the worker starts inherits it. In
// any other process this does nothing. Our modules load first: `native` loads a worker's addon by
// the same sign. Node runs it in each thread that a worker starts, too.

const at = process.execArgv.indexOf(__filename);
if (at > 0) process.execArgv.splice(at - 1, 2);

const identity = process.env.CLUSTER2_WORKER;
if (identity && require('node:cluster').isWorker) {
  const { enter } = require('./worker/session');
  delete process.env.CLUSTER2_WORKER;
  const me = JSON.parse(identity);
  if (me.nodeOptions !== undefined) process.env.NODE_OPTIONS = me.nodeOptions;
  // `--inspect-port`, the last of the flags.
  if (me.inspectPort) process.execArgv.pop();
  exports.session = enter(me);
}
