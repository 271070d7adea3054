'use strict';
// What the kernel says about a process, read from /proc.

const fs = require('node:fs');

const TICKS_PER_SECOND = 100; // USER_HZ: the same on every Linux that Node runs on
const LISTENING = '0A';
const TIME_WAIT = '06';

const read = (path) => fs.readFileSync(path, 'latin1');

function memory(pid) {
  const text = read(`/proc/${pid}/smaps_rollup`);
  const megabytes = (name) => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(text)[1]) / 1024;
  return { rss: megabytes('Rss'), pss: megabytes('Pss') };
}

// User and system time of all threads together, in seconds.
function cpuSeconds(pid) {
  const text = read(`/proc/${pid}/stat`);
  // The name, in parentheses, may itself contain spaces: count from behind it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

// Voluntary context switches by thread id: /proc/PID/status alone would be the main thread only.
function switchesByThread(pid) {
  const switches = new Map();
  for (const tid of fs.readdirSync(`/proc/${pid}/task`)) {
    try {
      const text = read(`/proc/${pid}/task/${tid}/status`);
      switches.set(tid, Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(text)[1]));
    } catch (err) {
      if (err.code !== 'ENOENT' && err.code !== 'ESRCH') throw err; // a thread that has ended
    }
  }
  return switches;
}

function switchesBetween(before, after) {
  let sum = 0;
  for (const [tid, count] of after) sum += count - (before.get(tid) ?? 0);
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

module.exports = { memory, cpuSeconds, switchesByThread, switchesBetween, openConnections };
