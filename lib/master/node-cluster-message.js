'use strict';

// A message of a worker as `node:cluster` tells of it, for modules that know nothing of us and have their part in the master
// listen there, such as log4js. Only where somebody does; the worker that is told has what answers need, and no more.

const nodeCluster = require('node:cluster');

/** The sender of a message. */
class Sender {
  #send;

  constructor(id, pid, send) {
    this.id = id;
    this.process = { pid };
    this.#send = send;
  }

  /** As a worker's: true if the message is on its way. A worker that is gone meanwhile gets none, which is no error. */
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
