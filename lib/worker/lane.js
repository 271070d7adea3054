'use strict';

// A lane (`balance: 'kernel'`): a listening socket that is this worker's own way in, beside those of the other workers. Node
// accepts on it as on any socket of its own. What always holds: the master has the same socket, so that closing it here ends
// nobody who waits in its queue; and a worker that cannot accept any more, for whatever reason, leaves it to the master.

const { openHandle } = require('./intake');

/** `SERVER` of Node's TCP handles. */
const SERVER = 1;

class Lane {
  #handle;
  #isOpen = true;

  /** @param {number} fd a listening socket, now ours */
  constructor(fd) {
    this.#handle = openHandle(fd, 'tcp', SERVER);
  }

  get isOpen() {
    return this.#isOpen;
  }

  /**
   * Accepts from now on.
   * @param {number} backlog how many connections may wait
   * @param {(connection: object) => void} taken gets the handle of each connection
   * @param {() => void} failed it cannot accept
   */
  listen(backlog, taken, failed) {
    if (!this.#isOpen) return;
    // Node would have the server tell an error, which ends most apps; but here somebody else can accept.
    this.#handle.onconnection = (error, connection) => (error ? failed(error) : taken(connection));
    if (this.#handle.listen(backlog)) this.close();
    // The worker lives as long as its channel to the master.
    else this.#handle.unref();
  }

  close() {
    if (this.#isOpen) this.#handle.close();
    this.#isOpen = false;
  }
}

module.exports = { Lane };
