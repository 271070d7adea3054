'use strict';

// The last lines that a worker wrote to standard error before it was ready, for the reason of a
// start that fails. What always holds: each write reaches the stream as it was made; it is reported
// as it is made, because a process whose event loop is stuck reports nothing later; and after `end`
// nothing of this is in the way.

const { stripVTControlCharacters } = require('node:util');
const { now } = require('../clock');
const { wrapWrite } = require('./wrap-write');

/** At most so much is remembered, without colours and the like. */
const LINES = 10;
const CHARACTERS = 1000;
/** At most so much is kept meanwhile, with them. */
const RAW = 4 * CHARACTERS;
/**
 * So many reports at once, then one each `PAUSE` milliseconds: a flood must fill neither the
 * channel nor the master's time.
 */
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
      this.#report(linesOf(this.#text).slice(-LINES));
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
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  return bytes.subarray(-4 * RAW).toString().slice(-RAW);
}

function linesOf(text) {
  // Half a pair of surrogates, as cutting leaves it, is no text for the master: by way of UTF-8 it
  // becomes U+FFFD.
  const clean = Buffer.from(stripVTControlCharacters(text).slice(-CHARACTERS)).toString();
  const lines = clean.split(/[\r\n]+/).map((line) => line.replace(/\p{Cc}+/gu, ' ').trimEnd());
  return lines.filter(Boolean);
}

/**
 * What Node is about to write of an uncaught error, for a worker that was ready: its lines are not
 * remembered.
 */
function linesOfError(error) {
  const { stack } = Object(error);
  return typeof stack === 'string' ? linesOf(stack.slice(0, CHARACTERS)).slice(0, LINES) : [];
}

module.exports = { LastLines, linesOfError };
