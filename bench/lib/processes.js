'use strict';
// Every process that the benchmark starts, and all that those start, carries a tag in its
// environment. So the whole tree is found again, also what was orphaned or left its process
// group, and nothing that is not ours is ever signalled.

const crypto = require('node:crypto');
const fs = require('node:fs');
const { spawn } = require('node:child_process');

const TAG_NAME = 'CLUSTER2_BENCH';
const TAG_VALUE = `${process.pid}-${crypto.randomBytes(8).toString('hex')}`;
const TAG = `${TAG_NAME}=${TAG_VALUE}`;

// Settings of the caller's shell that would make the peers differ from what they stand for.
const NOT_INHERITED = ['NODE_OPTIONS', 'NODE_CLUSTER_SCHED_POLICY', 'NODE_CHANNEL_FD', 'NODE_UNIQUE_ID'];

function environment(extra) {
  const env = { ...process.env, ...extra, [TAG_NAME]: TAG_VALUE };
  for (const name of NOT_INHERITED) delete env[name];
  return env;
}

// Detached, so that Ctrl-C comes to the benchmark alone and it decides what ends when.
function spawnTagged(command, args, { env = {}, ...options } = {}) {
  return spawn(command, args, { ...options, env: environment(env), detached: true });
}

function isTagged(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/environ`, 'latin1').includes(TAG);
  } catch {
    return false; // gone in the meantime, or another user's
  }
}

// A zombie has no environment any more, so it counts as gone.
function livingPids() {
  return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter(isTagged);
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch (err) {
    if (err.code !== 'ESRCH') throw err;
  }
}

// For the exit of the benchmark, when nothing asynchronous runs any more. It looks again until
// all are gone, as one of them may have forked between the look and the kill.
function killAllNow(deadlineMs = 3000) {
  const deadline = performance.now() + deadlineMs;
  for (let pids = livingPids(); pids.length > 0 && performance.now() < deadline; pids = livingPids()) {
    for (const pid of pids) signal(pid, 'SIGKILL');
  }
}

module.exports = { spawnTagged, livingPids, isAlive, signal, killAllNow };
