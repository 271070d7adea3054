'use strict';
// Runs the load generator `wrk` and reads its report.

const { once } = require('node:events');
const { execFile } = require('node:child_process');
const { spawnTagged, signal } = require('./processes');

const CONNECTIONS = 64;
const CLOSE = 'Connection: close';
const GRACE_MS = 15_000; // beyond its own duration
const MS = { us: 1e-3, ms: 1, s: 1e3, m: 60e3 };

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
  const requests = /^\s*(\d+) requests in /m.exec(report);
  const p99 = /^\s*99%\s+([\d.]+)(us|ms|s|m)$/m.exec(report);
  if (!rate || !requests || !p99) throw new Error(`wrk gave no rate: ${report.trim().split('\n').at(-1)}`);
  const errors = [];
  const socket = /^\s*Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/m.exec(report);
  if (socket) errors.push(socket[0].trim());
  const status = /^\s*Non-2xx or 3xx responses: \d+/m.exec(report);
  if (status) errors.push(status[0].trim());
  return { rate: Number(rate[1]), requests: Number(requests[1]), p99: Number(p99[1]) * MS[p99[2]], errors };
}

async function run(port, seconds, { path = '/', connections = CONNECTIONS, headers = [] } = {}) {
  const args = ['-t', '1', '-c', String(connections), '-d', `${seconds}s`, '--latency', ...headers.flatMap((header) => ['-H', header])];
  const child = spawnTagged('wrk', [...args, `http://127.0.0.1:${port}${path}`], { stdio: ['ignore', 'pipe', 'pipe'] });
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

module.exports = { CONNECTIONS, CLOSE, version, run };
