'use strict';

// Each line that a worker writes to its standard streams begins with its slot and pid: `[<slot>
// <pid>] ` (`output: 'prefix'`). What always holds: every byte is passed on at once and in its
// order, so that nothing is lost with the process.

const { wrapWrite } = require('./wrap-write');

const NEWLINE = 0x0a;
/** Encodings of texts that stand for bytes. */
const BINARY = /^(hex|base64|base64url)$/i;

/** Puts `prefix` before each line of one stream; a line may be written in several parts. */
class Lines {
  #prefix;
  #bytes;
  #begins = true;

  constructor(prefix) {
    this.#prefix = prefix;
    this.#bytes = Buffer.from(prefix);
  }

  change(chunk, encoding) {
    if (typeof chunk === 'string' && !BINARY.test(encoding)) return this.#changeText(chunk);
    if (typeof chunk === 'string') return this.#changeBytes(Buffer.from(chunk, encoding));
    return this.#changeBytes(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
  }

  #changeText(text) {
    if (text === '') return text;
    const first = this.#begins ? this.#prefix : '';
    this.#begins = text.endsWith('\n');
    return first + text.replace(/\n(?!$)/g, () => `\n${this.#prefix}`);
  }

  #changeBytes(bytes) {
    const parts = [];
    for (let start = 0; start < bytes.length; ) {
      const newline = bytes.indexOf(NEWLINE, start);
      const end = newline < 0 ? bytes.length : newline + 1;
      if (this.#begins) parts.push(this.#bytes);
      parts.push(bytes.subarray(start, end));
      this.#begins = newline >= 0;
      start = end;
    }
    return Buffer.concat(parts);
  }
}

/** Puts slot and pid of this worker before each line of both standard streams. */
function prefix({ slot }) {
  for (const name of ['stdout', 'stderr']) {
    const lines = new Lines(`[${slot} ${process.pid}] `);
    wrapWrite(name, (chunk, encoding) => lines.change(chunk, encoding));
  }
}

module.exports = { prefix };
