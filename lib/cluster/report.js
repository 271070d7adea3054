'use strict';

// How a `Cluster` reports errors and warnings: by an event, or on standard error if it has no
// listener. There each line is one of the command line's own (`src/bin/cluster2/line.rs`).

const fs = require('node:fs');

/** Writes a line, with its time unless a terminal or journald shows it. */
function print(text) {
  const time = process.stderr.isTTY || isJournal() ? '' : `${new Date().toISOString()} `;
  process.stderr.write(`${time}cluster2: ${text}\n`);
}

// systemd.exec(5): the numbers of device and inode.
function isJournal() {
  if (!process.env.JOURNAL_STREAM) return false;
  try {
    const { dev, ino } = fs.fstatSync(2, { bigint: true });
    return process.env.JOURNAL_STREAM === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/** Emits `warning`, or prints it if the event has no listener. */
function warn(cluster, message) {
  if (cluster.emit('warning', { message })) return;
  print(`warning: ${message}`);
}

// An error without a code, such as one of the user, is shown with its stack.
function describe(error) {
  return error?.code ? `${error.message} (${error.code})` : (error?.stack ?? String(error));
}

/**
 * Reports an error that ends the start: emits `error`, or prints one line and exits with 255, for
 * start scripts.
 */
function fail(cluster, error) {
  if (cluster.listenerCount('error') > 0) return cluster.emit('error', error);
  print(describe(error));
  process.exit(255);
}

module.exports = { fail, print, warn };
