'use strict';
// Runs the load generator `wrk` and reads its report.

const { once } = require('node:events');
const { execFile } = require('node:child_process');
const { spawnTagged, signal } = require('./processes');

const CONNECTIONS = 64;
const GRACE_MS = 15_000; // beyond its own duration

// `wrk -v` prints its version and ends with 1, so only ENOENT means that it is missing.
function version() {
  return new Promise((resolve, reject) => {
    execFile('wrk', ['-v'], (err, stdout) => {
      if (err?.code === 'ENOENT') reject(new Error('wrk is missing: install it, on Debian with `apt-get install wrk`'));
      else resolve(/^wrk (\S+)/.exec(stdout)?.[1].replace(/^debian\//, '') ?? 'unknown');
    });
  });
}

function parse(report) {
  const rate = /^Requests\/sec:\s+([\d.]+)/m.exec(report);
  if (!rate) throw new Error(`wrk gave no rate: ${report.trim().split('\n').at(-1)}`);
  const errors = [];
  const socket = /^\s*Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/m.exec(report);
  if (socket) errors.push(socket[0].trim());
  const status = /^\s*Non-2xx or 3xx responses: \d+/m.exec(report);
  if (status) errors.push(status[0].trim());
  return { rate: Number(rate[1]), errors };
}

async function run(port, seconds, headers) {
  const args = ['-t', '1', '-c', String(CONNECTIONS), '-d', `${seconds}s`];
  for (const header of headers) args.push('-H', header);
  const child = spawnTagged('wrk', [...args, `http://127.0.0.1:${port}/`], { stdio: ['ignore', 'pipe', 'pipe'] });
  let report = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => { report += text; });
  }
  const deadline = setTimeout(() => signal(child.pid, 'SIGKILL'), seconds * 1000 + GRACE_MS);
  const [, killedBy] = await once(child, 'close');
  clearTimeout(deadline);
  if (killedBy) throw new Error(`wrk was ended by ${killedBy}`);
  return parse(report);
}

module.exports = { CONNECTIONS, version, run };
