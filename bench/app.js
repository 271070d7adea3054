'use strict';
// The one server that every peer runs, so that only what stands around it differs.

const http = require('node:http');

const BODY = 'hello';

// What only the benchmark's own client asks for.
function special(req, res) {
  // The header names the worker only where a client asks for it: it must cost nothing on `/`.
  if (req.url === '/pid') res.setHeader('x-worker', process.pid);
  const [, ms] = /^\/block\/(\d+)$/.exec(req.url) ?? [];
  // An event loop that is stuck for a while.
  if (ms) for (const end = performance.now() + Number(ms); performance.now() < end; );
}

function answer(req, res) {
  if (req.url !== '/') special(req, res);
  res.setHeader('content-length', BODY.length);
  res.end(BODY);
}

module.exports = () => http.createServer(answer);
