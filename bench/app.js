'use strict';
// The one server that every peer runs, so that only what stands around it differs.

const http = require('node:http');

const BODY = 'hello';

function answer(req, res) {
  // The header names the worker only where a client asks for it: it must cost nothing on `/`.
  if (req.url === '/pid') res.setHeader('x-worker', process.pid);
  // For bench/continuity.js: an event loop that is stuck for a while.
  if (req.url === '/block') for (const end = Date.now() + 3000; Date.now() < end; );
  res.setHeader('content-length', BODY.length);
  res.end(BODY);
}

module.exports = () => http.createServer(answer);
