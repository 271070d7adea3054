'use strict';

// What the health check reads and writes, as the scoreboard's header of `src/os/scoreboard/`.

/** Bytes of the header. */
const BYTES = 128;
/** When it was last switched, milliseconds since 1970; negative: to off. */
const SWITCHED = 0;
/** When the shutdown began; 0: it has not. */
const LEAVING = 1;

class Header {
  memory = new ArrayBuffer(BYTES);
  #cells = new Float64Array(this.memory);

  constructor() {
    this.#cells[SWITCHED] = Date.now();
  }

  get isDisabled() {
    return this.#cells[SWITCHED] < 0;
  }

  /** When it was last switched, milliseconds since 1970. */
  get since() {
    return Math.abs(this.#cells[SWITCHED]);
  }

  get leaving() {
    return this.#cells[LEAVING];
  }

  /** Returns whether it was switched the other way before. */
  switch(disabled) {
    if (this.isDisabled === disabled) return false;
    this.#cells[SWITCHED] = disabled ? -Date.now() : Date.now();
    return true;
  }

  /** The shutdown begins; the first call counts. */
  leave() {
    this.#cells[LEAVING] ||= Date.now();
  }
}

module.exports = { Header };
