'use strict';

// Turns this process into another program, or into one that only stands for it.

const { spawn } = require('node:child_process');
const { isatty } = require('node:tty');

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGALRM'];
/** Signals that all processes of a console get from Windows, and those of a terminal's job. */
const OF_CONSOLE = ['SIGINT', 'SIGBREAK', 'SIGHUP'];
const OF_TERMINAL = ['SIGINT', 'SIGQUIT'];

/**
 * Never returns where Node can become another program; otherwise this process ends as that does.
 * @param {string} file an absolute path
 * @param {string[]} args
 * @param {object} env
 */
function become(file, args, env) {
  const isWindows = process.platform === 'win32';
  if (process.execve && !isWindows) return process.execve(file, [file, ...args], env);
  const signals = isWindows ? OF_CONSOLE : SIGNALS;
  // A second Ctrl-C means something else to many.
  const isTold = (signal) => isWindows || (OF_TERMINAL.includes(signal) && isatty(0));
  // Before the child starts: a signal right after its first output would otherwise not reach it.
  for (const signal of signals) process.on(signal, () => isTold(signal) || child.kill(signal));
  const child = spawn(file, args, { env, stdio: 'inherit' });
  child.on('error', (error) => {
    process.stderr.write(`cluster2: cannot run ${file}: ${error.message}\n`);
    process.exit(255);
  });
  child.on('exit', (code, signal) => {
    signals.forEach((name) => process.removeAllListeners(name));
    if (signal) process.kill(process.pid, signal);
    else process.exit(code);
  });
}

module.exports = { become };
