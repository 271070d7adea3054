'use strict';

// A server that knows nothing of cluster2-rs, for Dockerfile.start.

const http = require('node:http');

const server = http.createServer((request, response) => response.end('hello\n'));
server.listen(process.env.PORT ?? 3000);
