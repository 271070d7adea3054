'use strict';
const { listens, slow } = require('./handler');
const app = require('fastify')();
app.get('/slow', slow);
app.get('/', async () => 'hello');
app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' }).then(listens);
for (const signal of ['SIGTERM', 'SIGINT'])
  process.on(signal, () => app.close().then(() => process.exit(0)));
