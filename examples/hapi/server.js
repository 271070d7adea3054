const Cluster = require('cluster2-rs');
const Hapi = require('@hapi/hapi');

// The cluster sets host and port.
const server = Hapi.server();
server.route({ method: 'GET', path: '/', handler: () => `hello from ${process.pid}` });
server.ext('onPostStop', () => console.log(`${process.pid} has stopped`));

// The cluster calls initialize(), and lets the listener finish its requests. For onPreStop,
// onPostStop and the caches, stop when the worker has nothing left to do.
process.once('beforeExit', () => server.stop());

new Cluster({ port: 3000 }).listen((callback) => callback(server));
