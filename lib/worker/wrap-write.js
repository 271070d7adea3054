'use strict';

// Stands between a worker's standard streams and what they write to, for the last lines
// (last-lines.js) and the prefix of each line (line-prefix.js). The descriptors stay what they are,
// a terminal, a pipe or a file: a write by any other means is not seen here.
//
// What always holds: `write` and all that a script uses of a stream are Node's own. Only `_write`
// and `_writev` are replaced, which Node documents for those who implement streams, and Node's own
// stdio streams have such properties too.

/**
 * Has a stream write what `change` returns. A stream that was not used yet stays unopened: opening
 * one costs each worker half a millisecond of its start.
 * @param {'stdout' | 'stderr'} name
 * @param {(chunk: string | Uint8Array, encoding: string) => string | Uint8Array} change gets what
 *   the stream has accepted, and must not throw
 */
function wrapWrite(name, change) {
  const before = Object.getOwnPropertyDescriptor(process, name);
  if (!before?.get) return before?.value && wrap(before.value, change);
  let stream;
  // If there is none that Node can write to, this throws as Node's own would. Where the script has
  // made the property unchangeable, it stays.
  const open = () => {
    const isThere = Object.getOwnPropertyDescriptor(process, name)?.get === open;
    if (isThere) Reflect.defineProperty(process, name, before);
    if (!stream) wrap((stream = before.get.call(process)), change);
    return stream;
  };
  Object.defineProperty(process, name, { ...before, get: open });
}

function wrap(stream, change) {
  const changed = (chunk, encoding) => {
    const result = change(chunk, encoding);
    return { chunk: result, encoding: typeof result === 'string' ? encoding : 'buffer' };
  };
  replace(stream, '_write', (original) => {
    return function (written, as, callback) {
      const { chunk, encoding } = changed(written, as);
      return Reflect.apply(original, this, [chunk, encoding, callback]);
    };
  });
  replace(stream, '_writev', (original) => {
    return function (chunks, callback) {
      const all = chunks.map((one) => ({ ...one, ...changed(one.chunk, one.encoding) }));
      all.allBuffers = chunks.allBuffers;
      return Reflect.apply(original, this, [all, callback]);
    };
  });
}

function replace(stream, name, by) {
  const original = stream[name];
  if (typeof original !== 'function') return;
  const property = { configurable: true, enumerable: false, writable: true, value: by(original) };
  Reflect.defineProperty(stream, name, property);
}

module.exports = { wrapWrite };
