'use strict';
const { handler, listens } = require('./handler');
const server = require('http').createServer(handler);
require('@godaddy/terminus').createTerminus(server, {
  signals: ['SIGTERM', 'SIGINT'],
  timeout: 5000,
});
server.listen(process.env.PORT, listens);
