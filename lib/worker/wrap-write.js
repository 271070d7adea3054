'use strict';

// Stands between a worker's code and `write` of its standard streams, for the last lines
// (last-lines.js) and the prefix of each line (line-prefix.js). The descriptors stay what they are,
// a terminal, a pipe or a file: a write by any other means is not seen here.

/**
 * Has `write` write what `change` returns. A stream that was not used yet stays unopened: opening
 * one costs each worker half a millisecond of its start.
 * @param {'stdout' | 'stderr'} name
 * @param {(chunk: *, encoding: *) => *} change gets the arguments of `write`, even if the stream
 *   will refuse them
 * @returns {() => void} takes it out again, unless the stream was wrapped once more meanwhile, by a
 *   wrapper that goes on calling it
 */
function wrapWrite(name, change) {
  const before = Object.getOwnPropertyDescriptor(process, name);
  if (!before?.get) return before?.value ? wrap(before.value, change) : () => {};
  let ended = false;
  let unwrap;
  // Where the app has made it unchangeable, it stays, and `change` is left out once it is ended.
  const isThere = () => Object.getOwnPropertyDescriptor(process, name)?.get === open;
  const close = () => isThere() && Reflect.defineProperty(process, name, before);
  // If there is none that Node can write to, this throws as Node's own would.
  const open = () => {
    close();
    const stream = before.get.call(process);
    if (!ended) unwrap ??= wrap(stream, change);
    return stream;
  };
  Object.defineProperty(process, name, { ...before, get: open });
  return () => {
    ended = true;
    close();
    unwrap?.();
  };
}

function wrap(stream, change) {
  const own = Object.getOwnPropertyDescriptor(stream, 'write');
  const original = stream.write;
  const write = function (chunk, encoding, ...rest) {
    return Reflect.apply(original, this, [change(chunk, encoding), encoding, ...rest]);
  };
  stream.write = write;
  return () => {
    if (stream.write !== write) return;
    if (own) Object.defineProperty(stream, 'write', own);
    else delete stream.write;
  };
}

module.exports = { wrapWrite };
