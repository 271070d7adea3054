'use strict';

// A server of this worker that listens. It has no socket of its own: its connections come from the
// master, and by a lane where it has one. What always holds: the master knows by which of the two.

const fs = require('node:fs');
const { ListeningHandle, connectionsHere, deliver, openHandle } = require('../node-internals');

class Listener {
  #hook;
  #lane;
  #isServing = false;
  /** Given to the server in place of a socket. */
  handle;

  /**
   * @param {ListenHook} hook
   * @param {net.Server} server
   * @param {{ listener: number, address?: object, path?: string }} bound what the master has bound
   * @param {Lane} [lane]
   */
  constructor(hook, server, { listener, address, path }, lane) {
    this.#hook = hook;
    this.#lane = lane;
    this.server = server;
    /** The master's number of this listener. */
    this.id = listener;
    /** Where connections of the lane come from (`Origin` of the protocol). */
    this.origin = { listener, past: undefined };
    const started = (backlog) => this.#serve(backlog);
    this.handle = new ListeningHandle({ address, path }, started, () => this.#closed());
  }

  /** Whether its server has not closed it. */
  get isOpen() {
    return this.handle.isOpen;
  }

  /** Whether its server has connections: as long as it has, Node does not emit `close`. */
  get hasConnections() {
    return connectionsHere(this.server) > 0;
  }

  #serve(backlog) {
    this.#isServing = true;
    if (this.hasLane) this.#hook.opensLane();
    const accepted = (connection, fd) => this.#hook.accepted(this, connection, fd);
    this.#lane?.listen(backlog, accepted, () => this.leaveLane());
    this.#hook.serve(this);
  }

  #closed() {
    this.closeLane();
    this.#hook.release(this);
  }

  /** Takes connections from the master alone from now on, and reports it. */
  leaveLane() {
    if (!this.hasLane) return;
    this.closeLane();
    if (this.#isServing) this.#hook.serve(this);
  }

  get hasLane() {
    return this.#lane?.isOpen ?? false;
  }

  /** Takes connections from the master alone from now on, which knows. */
  closeLane() {
    this.#lane?.close();
  }

  /** Calls `enter` in the asynchronous context in which the server listens. */
  enter(enter) {
    this.handle.enter(enter);
  }

  /**
   * Gives a connection to the server, or closes it if its client has gone already.
   * @param {number} fd which belongs to the connection from now on
   */
  take(fd) {
    let connection;
    try {
      connection = openHandle(fd, this.handle.kind);
    } catch {
      fs.close(fd, () => {});
      return;
    }
    this.accept(connection);
  }

  /** Gives the server a connection by its handle. */
  accept(connection) {
    deliver(this.handle, connection);
  }
}

module.exports = { Listener };
