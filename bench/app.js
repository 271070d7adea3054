'use strict';
// The one server that every peer runs, so that only what stands around it differs.

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { isMainThread } = require('node:worker_threads');

const BODY = 'hello';
/** How long the answer to `/later` takes. */
const LATER_MS = 500;

// The kernel's id of the thread that serves. Where the worker is a process, that is its pid.
const workerId = () =>
  (isMainThread ? process.pid : path.basename(fs.readlinkSync('/proc/thread-self')));

/** Milliseconds of the clock that all processes of a machine share. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

// The event loop is stuck until `end`.
function block(end) {
  while (now() < end);
}

// What costs processor time, however much of it others take meanwhile. It is loaded only then: the
// other scenarios measure memory.
function work(rounds) {
  require('node:crypto').pbkdf2Sync('password', 'salt', rounds, 32, 'sha256');
}

// What only the benchmark's own client asks for. The header is set only where a client asks for it:
// it must cost nothing on `/`.
function special(req, res) {
  if (req.url === '/pid') return res.setHeader('x-bench', workerId());
  if (req.url === '/throw') throw new Error('thrown by the benchmark');
  const [, rounds] = /^\/work\/(\d+)$/.exec(req.url) ?? [];
  if (rounds) return work(Number(rounds));
  const [, ms] = /^\/block\/(\d+)$/.exec(req.url) ?? [];
  if (!ms) return;
  const began = now();
  res.setHeader('x-bench', began);
  block(began + Number(ms));
}

function end(res) {
  res.setHeader('content-length', BODY.length);
  res.end(BODY);
}

function answer(req, res) {
  if (req.url === '/later') return void setTimeout(end, LATER_MS, res);
  if (req.url !== '/') special(req, res);
  end(res);
}

module.exports = () => http.createServer(answer);
