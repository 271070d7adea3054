'use strict';

// Stops and kills workers from outside, at any moment of what they do, and tells what they had
// taken.

const assert = require('node:assert');
const fs = require('node:fs');

/** How long the kernel may take to stop a process, in milliseconds. */
const DEADLINE = 5000;

/** Returns the state of a process, such as `R`, `S`, `T` (stopped by a signal) or `Z`. */
const stateOf = (pid) => fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').pop()[0];

/** Returns the inodes of the sockets that a process holds. */
function socketsOf(pid) {
  const directory = `/proc/${pid}/fd`;
  const links = fs.readdirSync(directory).map((name) => fs.readlinkSync(`${directory}/${name}`));
  return new Set(links.map((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1]).filter(Boolean));
}

/**
 * Returns the ports of the clients whose TCP connections a stopped process holds, as the kernel
 * knows it: connections too that it has accepted and its JavaScript has not seen.
 */
function clientsOf(pid) {
  const sockets = socketsOf(pid);
  return ['tcp', 'tcp6']
    .flatMap((kind) => fs.readFileSync(`/proc/${pid}/net/${kind}`, 'utf8').split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , , , , , , , inode]) => sockets.has(inode))
    .map(([, , remote]) => parseInt(remote.split(':').pop(), 16));
}

/**
 * Stops a process. Returns the ports of the clients whose connections it holds; none if it has
 * ended. Does not wait for anything else, so that nobody continues the process meanwhile.
 */
function stopHolding(pid) {
  try {
    process.kill(pid, 'SIGSTOP');
    const begun = performance.now();
    for (;;) {
      const state = stateOf(pid);
      if (state === 'T') return clientsOf(pid);
      if (state === 'Z' || state === 'X') return [];
      assert.ok(performance.now() < begun + DEADLINE, `${pid} is not stopped: ${state}`);
    }
  } catch (error) {
    if (error.code !== 'ESRCH' && error.code !== 'ENOENT') throw error;
    return [];
  }
}

/** Kills a process. Returns what `stopHolding` does. */
function killHolding(pid) {
  const clients = stopHolding(pid);
  signal(pid, 'SIGKILL');
  return clients;
}

/** Sends a signal to a process, which may have ended. */
function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

module.exports = { killHolding, signal, stopHolding };
