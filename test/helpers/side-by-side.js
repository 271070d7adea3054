'use strict';

// Runs mocha in two processes at the same time. Tests mostly wait for times of the product, so the
// processors have room. Each process has ports of its own (helpers/ports.js).
//
// Not `mocha --parallel`: it ends its processes after their last test, so an error or a handle that
// a test leaves behind goes unnoticed. If a process dies, no test of its file is reported.

const { spawn } = require('node:child_process');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..');
const PROCESSES = 2;

/**
 * Calls `run(job, share)` for each job in order, for two at a time. Returns the results in the
 * order of the jobs.
 * @template Job, Result
 * @param {Iterable<Job>} jobs
 * @param {(job: Job, share: string) => Promise<Result>} run `share`: for `TEST_PORTS`
 * @returns {Promise<Result[]>}
 */
async function sideBySide(jobs, run) {
  const left = [...jobs].entries();
  const results = [];
  const work = async (share) => {
    for (const [index, job] of left) results[index] = await run(job, share);
  };
  const shares = Array.from({ length: PROCESSES }, (_, index) => `${index + 1}/${PROCESSES}`);
  await Promise.all(shares.map(work));
  return results;
}

/**
 * Runs mocha to its end.
 * @param {string[]} args
 * @param {object} env variables besides those of this process
 * @returns {Promise<{ status: number | null, output: string }>}
 */
function mocha(args, env) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [require.resolve('mocha/bin/mocha.js'), ...args], {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const hear = (text) => (output += text);
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', hear);
    child.on('close', (status) => resolve({ status, output }));
  });
}

module.exports = { mocha, sideBySide };
