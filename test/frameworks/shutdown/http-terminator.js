'use strict';
const { handler, listens } = require('./handler');
const server = require('http').createServer(handler).listen(process.env.PORT, listens);
const terminator = require('http-terminator').createHttpTerminator({ server });
for (const signal of ['SIGTERM', 'SIGINT'])
  process.on(signal, () => terminator.terminate().then(() => process.exit(0)));
