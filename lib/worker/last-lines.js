'use strict';

// What a worker last wrote to standard error before it was ready, for the reason of a start that fails. Runs on the JavaScript
// thread of a worker. What always holds: each write reaches the stream as it was made; it is told as it is
// made, because a process whose event loop is stuck tells nothing later; after `end` nothing of this is in the way any more.

const { stripVTControlCharacters } = require('node:util');
const { now } = require('../clock');
const { wrapWrite } = require('./wrap-write');

/** No more than this is remembered, after colours and the like were taken out. */
const LINES = 10;
const CHARACTERS = 1000;
/** What is kept meanwhile, with them. */
const RAW = 4 * CHARACTERS;
/** So many reports at once, then one each `PAUSE` milliseconds: a flood must fill neither the channel nor the master's time. */
const BURST = 50;
const PAUSE = 50;

class LastLines {
  #report;
  #restore;
  #text = '';
  #untold = false;
  #allowed = BURST;
  #since = now();
  #timer;
  #atExit = () => this.#untold && this.#tell();

  /** @param {(lines: string[]) => void} report called with the last lines, the oldest first */
  constructor(report) {
    this.#report = report;
  }

  start() {
    this.#restore = wrapWrite('stderr', (chunk, encoding) => {
      this.#remember(chunk, encoding);
      return chunk;
    });
    process.on('exit', this.#atExit);
  }

  end() {
    this.#restore?.();
    this.#restore = undefined;
    this.#text = '';
    clearTimeout(this.#timer);
    process.off('exit', this.#atExit);
  }

  #remember(chunk, encoding) {
    if (!this.#restore) return;
    try {
      this.#text = (this.#text + textOf(chunk, encoding)).slice(-RAW);
      this.#untold = true;
      if (this.#mayTell()) this.#tell();
      else this.#tellLater();
    } catch {
      // No text, which the stream itself refuses; or the master is gone, which is seen elsewhere.
    }
  }

  #mayTell() {
    const at = now();
    this.#allowed = Math.min(BURST, this.#allowed + (at - this.#since) / PAUSE);
    this.#since = at;
    if (this.#allowed < 1) return false;
    this.#allowed -= 1;
    return true;
  }

  #tellLater() {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#untold) this.#tell();
    }, PAUSE).unref();
  }

  #tell() {
    this.#untold = false;
    try {
      this.#report(linesOf(this.#text));
    } catch {
      // As above.
    }
  }
}

/** The end of what is written, as text. */
function textOf(chunk, encoding) {
  if (typeof chunk === 'string') {
    if (typeof encoding !== 'string' || /^utf-?8$/i.test(encoding)) return chunk.slice(-RAW);
    chunk = Buffer.from(chunk, encoding);
  }
  // A character has four bytes at most.
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).subarray(-4 * RAW).toString().slice(-RAW);
}

function linesOf(text) {
  // Half a pair of surrogates, as cutting leaves it, is no text for the master: by way of UTF-8 it becomes U+FFFD.
  const clean = Buffer.from(stripVTControlCharacters(text).slice(-CHARACTERS)).toString();
  const lines = clean.split(/[\r\n]+/).map((line) => line.replace(/\p{Cc}+/gu, ' ').trimEnd()).filter(Boolean);
  return lines.slice(-LINES);
}

module.exports = { LastLines };
