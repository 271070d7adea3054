const Cluster = require('cluster2-rs');
const fastify = require('fastify')();

fastify.get('/', async () => `hello from ${process.pid}`);

// Closes Fastify, for its onClose hooks, when the worker has nothing left to do.
process.once('beforeExit', () => fastify.close());

new Cluster({ port: 3000 }).listen((callback) => callback(fastify));
