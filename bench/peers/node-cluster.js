'use strict';

const cluster = require('node:cluster');
// Made in the primary too, as in the other peers: the memory of the primaries is compared.
const server = require('../app')();

if (cluster.isPrimary) {
  for (let i = 0; i < Number(process.env.WORKERS); i++) cluster.fork();
} else {
  server.listen(Number(process.env.PORT), '0.0.0.0');
}
