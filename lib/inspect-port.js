'use strict';

// Where Node's debugger is on, each worker needs a port of its own, as node:cluster gives it.

const FLAG = /^--(?:inspect(?:-brk|-wait)?|(inspect|debug)-port)(?:=(.*))?$/;
/** `9229`, `host:9229` or `[::1]:9229`; a name or address alone is no port. */
const PORT = /^(?:.*:)?(\d+)$/;

/**
 * The port above which workers have theirs.
 * @param {string[]} flags Node's flags for workers
 * @param {string} [options] their `NODE_OPTIONS`, which count less than flags
 * @returns {number|undefined} none where the debugger is off, or where the kernel is to choose (`--inspect=0`)
 */
function inspectPort(flags, options = '') {
  const words = [...options.split(/\s+/), ...flags];
  const found = words.flatMap((word, index) => {
    const [flag, takesPort, value] = FLAG.exec(word) ?? [];
    return flag ? [value ?? (takesPort ? words[index + 1] : '')] : [];
  });
  if (found.length === 0) return undefined;
  const named = found.map((value) => PORT.exec(value)?.[1]).filter((port) => port !== undefined);
  const port = named.length > 0 ? Number(named.at(-1)) : process.debugPort;
  return port === 0 ? undefined : port;
}

module.exports = { inspectPort };
