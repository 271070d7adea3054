'use strict';

// Limits the descriptors of a running process.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');

/** Sets how many descriptors a process may have open. */
const limit = (pid, files) => execFileSync('prlimit', ['--pid', String(pid), `--nofile=${files}:`]);

/** Sets the limit to the number of the next descriptor, so that the process can open none. */
function exhaust(pid) {
  const taken = new Set(fs.readdirSync(`/proc/${pid}/fd`).map(Number));
  let next = 0;
  while (taken.has(next)) next += 1;
  limit(pid, next);
  return next;
}

module.exports = { exhaust, limit };
