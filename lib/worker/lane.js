'use strict';

// A lane (`balance: 'kernel'`): a listening socket that is this worker's own way in, beside those
// of the other workers. Node accepts on it as on any socket of its own. What always holds: the
// master has the same socket, so that closing it here ends no client in its queue; and a worker
// that cannot accept any more, for any reason, leaves it to the master.

const fs = require('node:fs');
const { acceptOn, openListening } = require('../node-internals');

class Lane {
  #handle;
  #isOpen = true;

  /** @param {number} fd a listening socket, which belongs to the lane from now on */
  constructor(fd) {
    this.#handle = openListening(fd);
  }

  get isOpen() {
    return this.#isOpen;
  }

  /**
   * Accepts from now on.
   * @param {number} backlog how many connections may wait
   * @param {(connection: object, fd: number) => void} accepted gets the handle of each connection
   * @param {() => void} failed it cannot accept
   */
  listen(backlog, accepted, failed) {
    if (this.#isOpen && !acceptOn(this.#handle, backlog, accepted, failed)) this.close();
  }

  close() {
    if (this.#isOpen) this.#handle.close();
    this.#isOpen = false;
  }
}

/**
 * The lane of a descriptor. `undefined`: there is none, and all connections come from the master.
 */
function laneOf(fd) {
  if (fd < 0) return undefined;
  try {
    return new Lane(fd);
  } catch {
    fs.close(fd, () => {});
    return undefined;
  }
}

module.exports = { laneOf };
