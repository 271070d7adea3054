'use strict';

// Commands to a cluster in another process, which need the addon. What always holds: where no
// cluster can run, the answer is that of `src/remote/client.rs`.

const fs = require('node:fs');
const path = require('node:path');
const { failure } = require('./errors');

/** The file that a running master holds. */
const LOCK = 'master.lock';
/** Commands for which a cluster that does not run is an answer. */
const QUIET = ['stop', 'shutdown', 'status'];

/**
 * Answers a command to the cluster of `pids`.
 * @param {string} command as JSON
 * @param {string} missing why there is no addon
 */
async function ask(pids, command, missing) {
  const { command: name } = JSON.parse(command);
  if (fs.existsSync(path.join(pids, LOCK))) {
    const message = `cannot ask the cluster in ${pids}: ${missing}`;
    throw failure('CLUSTER2_ERR_PLATFORM', message);
  }
  const isMissing = !fs.existsSync(pids);
  const nowhere = `there is no directory ${pids} (option 'pids')`;
  const elsewhere = "; --pids (option 'pids') names the directory of one that runs elsewhere";
  const message = isMissing ? nowhere : `no cluster is running in ${pids}${elsewhere}`;
  if (!QUIET.includes(name)) throw failure('CLUSTER2_ERR_NOT_RUNNING', message);
  return JSON.stringify({ running: false, ...(isMissing && { reason: message }) });
}

module.exports = { ask };
