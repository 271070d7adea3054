'use strict';

// Messages of workers as `node:cluster` emits them, for modules that know nothing of us and have
// their part in the master listen there, such as log4js. Only if there is a listener. The worker
// that it gets has what answers need, and nothing else.

const nodeCluster = require('node:cluster');

/** The sender of a message. */
class Sender {
  #send;

  constructor(id, pid, send) {
    this.id = id;
    this.process = { pid };
    this.#send = send;
  }

  /**
   * As a worker's: true if the message is on its way. A worker that is gone meanwhile gets none,
   * which is not an error.
   */
  send(message) {
    this.#send(this.process.pid, message).catch(() => {});
    return true;
  }
}

/** Emits the message of a worker on `require('node:cluster')` too. */
function passToNode(cluster, { id, pid, message }) {
  if (nodeCluster.listenerCount('message') === 0) return;
  nodeCluster.emit('message', new Sender(id, pid, cluster.send.bind(cluster)), message, undefined);
}

module.exports = { passToNode };
