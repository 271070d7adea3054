'use strict';

// What this worker wrote last to standard error, for the reason of its end. What always holds: each
// write reaches the stream as it was made, and nothing of this is seen by the script; and whatever
// ends the process, what was written before is known, because it lies in the scoreboard's memory
// (`src/os/last_text.rs`). What does not pass through `process.stderr` is not known: messages of
// Node and V8 themselves, and of addons.

const { wrapWrite } = require('./wrap-write');

/** Characters of an uncaught error. */
const ERROR = 1000;

class LastLines {
  #kept;
  #ring;

  /** @param {ArrayBuffer} memory a double, the number of bytes ever kept; and a ring of bytes */
  constructor(memory) {
    this.#kept = new Float64Array(memory, 0, 1);
    this.#ring = new Uint8Array(memory, 8);
  }

  start() {
    wrapWrite('stderr', (chunk, encoding) => {
      this.#keep(chunk, encoding);
      return chunk;
    });
  }

  /** Keeps what Node is about to write of an uncaught error. */
  addError(error) {
    const { stack } = Object(error);
    if (typeof stack === 'string') this.#keep(`${stack.slice(0, ERROR)}\n`, 'utf8');
  }

  /** Keeps no more. */
  end() {
    this.#ring = undefined;
  }

  #keep(chunk, encoding) {
    if (!this.#ring) return;
    const size = this.#ring.length;
    const last = bytesOf(chunk, encoding, size).subarray(-size);
    const at = this.#kept[0] % size;
    const first = last.subarray(0, size - at);
    this.#ring.set(first, at);
    this.#ring.set(last.subarray(first.length));
    this.#kept[0] += last.length;
  }
}

/** The end of what is written, at least `size` bytes of it. */
function bytesOf(chunk, encoding, size) {
  if (typeof chunk !== 'string') return chunk;
  const isUtf8 = /^utf-?8$/i.test(encoding);
  return isUtf8 ? Buffer.from(chunk.slice(-size)) : Buffer.from(chunk, encoding);
}

module.exports = { LastLines };
