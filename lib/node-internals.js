'use strict';

// The one place that touches what Node does not document, and the only file that others require for
// it. What always holds: each function says in which files of Node's source, and in which versions,
// it was read; each has a test that runs on every supported Node (node-internals.test.js); and
// nothing here leaves a trace that an app can see.

module.exports = {
  ...require('./node-internals/connections'),
  ...require('./node-internals/handles'),
  ...require('./node-internals/http1-parser'),
  ...require('./node-internals/http2-session'),
  ...require('./node-internals/idle-connections'),
  ...require('./node-internals/idle-marks'),
  ...require('./node-internals/listening'),
  ...require('./node-internals/listening-handle'),
  ...require('./node-internals/null-handle'),
  ...require('./node-internals/process-end'),
  ...require('./node-internals/responses'),
  ...require('./node-internals/stream-end'),
  ...require('./node-internals/ticks'),
  ...require('./node-internals/timeouts'),
};
