'use strict';
const { handler, listens } = require('./handler');
const server = require('stoppable')(require('http').createServer(handler)).listen(
  process.env.PORT,
  listens,
);
for (const signal of ['SIGTERM', 'SIGINT'])
  process.on(signal, () => server.stop(() => process.exit(0)));
