'use strict';
// What the kernel says about processes, read from /proc.

const fs = require('node:fs');

const LISTENING = '0A';
const TIME_WAIT = '06';

const read = (path) => fs.readFileSync(path, 'latin1');

function memory(pid) {
  const text = read(`/proc/${pid}/smaps_rollup`);
  const megabytes = (name) => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(text)[1]) / 1024;
  return { rss: megabytes('Rss'), pss: megabytes('Pss') };
}

// What each thread of these processes has used so far. The times of schedstat are nanoseconds;
// those of /proc/PID/stat are steps of 10 ms, too coarse for what idles.
function usage(pids) {
  const threads = new Map();
  for (const pid of pids) {
    for (const tid of fs.readdirSync(`/proc/${pid}/task`)) {
      try {
        const cpu = Number(read(`/proc/${pid}/task/${tid}/schedstat`).split(' ')[0]) / 1e9;
        const status = read(`/proc/${pid}/task/${tid}/status`);
        threads.set(tid, { cpu, switches: Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)[1]) });
      } catch (err) {
        if (err.code !== 'ENOENT' && err.code !== 'ESRCH') throw err; // a thread that has ended
      }
    }
  }
  return threads;
}

// Processor time, in seconds, and voluntary context switches between two looks.
function used(before, after) {
  const sum = { cpu: 0, switches: 0 };
  for (const [tid, { cpu, switches }] of after) {
    const begin = before.get(tid) ?? { cpu: 0, switches: 0 };
    sum.cpu += cpu - begin.cpu;
    sum.switches += switches - begin.switches;
  }
  return sum;
}

function readSocketTable(path) {
  try {
    return read(path).split('\n').slice(1, -1);
  } catch (err) {
    if (err.code === 'ENOENT') return []; // no IPv6 here
    throw err;
  }
}

// Connections to or from `port` of which either side is still open.
function openConnections(port) {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = [...readSocketTable('/proc/net/tcp'), ...readSocketTable('/proc/net/tcp6')];
  return lines.filter((line) => {
    const [, local, remote, state] = line.trim().split(/\s+/);
    return (local.endsWith(hex) || remote.endsWith(hex)) && state !== LISTENING && state !== TIME_WAIT;
  }).length;
}

module.exports = { memory, usage, used, openConnections };
