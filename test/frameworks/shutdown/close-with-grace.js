'use strict';
const { handler, listens } = require('./handler');
const server = require('http').createServer(handler).listen(process.env.PORT, listens);
require('close-with-grace')(() => new Promise((resolve) => server.close(resolve)));
