'use strict';

// The connections that come to this worker, from a listening socket or from the master, on their
// way to a server of the app. What always holds: each of them reaches a server that listens, or
// goes back to the master; and it counts as open from the moment it is here.

const fs = require('node:fs');
const { NUMBERS, deathsOf, enterBeyondLimit, originFrom } = require('../http/moved-connection');
const { runTicks } = require('../node-internals');

/** Takes moved connections for a listener. */
function moved(listener) {
  return { take: (fd) => enterBeyondLimit(listener.server, () => listener.take(fd)) };
}

// One function for all: a closure each would show where every request has a connection of its own.
function admit(traffic, origin, listener, fd) {
  traffic.admit(origin, origin.past ? moved(listener) : listener, fd);
}

// What a listener of the app throws is an uncaught error, but not of the connections behind it.
function throwLater(error) {
  setImmediate(() => {
    throw error;
  });
}

class Connections {
  #session;
  /** What is being taken: the batch, and the indices of the next one in it and of its end. */
  #batch;
  #next = 0;
  #end = 0;

  /** @param {Session} session */
  constructor(session) {
    this.#session = session;
  }

  /** Takes `count` connections: NUMBERS for each in `batch`. The addon has counted them as open. */
  take(batch, count) {
    this.#batch = batch;
    this.#end = NUMBERS * count;
    for (let i = 0; i < this.#end; i += NUMBERS) {
      this.#next = i + NUMBERS;
      const origin = originFrom(batch, i + 1);
      if (origin.past && deathsOf(origin.past) > 0) origin.request = this.#session.takeRequest();
      this.#take(batch[i], origin);
      if (this.#next < this.#end) this.#runTicks();
    }
  }

  /**
   * The connections behind the one that is being taken, when the process ends meanwhile.
   * @returns {{ fd: number, listener: number, past: object | undefined }[]}
   */
  untaken() {
    const left = [];
    for (let i = this.#next; i < this.#end; i += NUMBERS)
      left.push({ fd: this.#batch[i], ...originFrom(this.#batch, i + 1) });
    return left;
  }

  #take(fd, origin) {
    const { listeners, traffic } = this.#session;
    if (traffic.marks?.claim(fd) === false) return this.#letGo(fd);
    const listener = listeners.get(origin.listener);
    if (!this.#mayTake(listener)) return this.#giveBack(fd, origin);
    try {
      listener.enter(admit, traffic, origin, listener, fd);
    } catch (error) {
      throwLater(error);
    }
  }

  // As Node does, which has a callback for each connection.
  #runTicks() {
    try {
      runTicks();
    } catch (error) {
      throwLater(error);
    }
  }

  // A connection that comes while a script ends itself goes to another worker. Where none is left,
  // it is taken like those before it: by a closed server as long as Node waits for others of its
  // connections.
  #mayTake(listener) {
    const { departure } = this.#session;
    if (!listener) return false;
    if (listener.isOpen) return !(departure.isUpToScript && departure.isMoving);
    if (departure.isMoving || !departure.isActive) return false;
    if (!listener.hasConnections) this.#session.forget(listener);
    return listener.hasConnections;
  }

  // Another worker has it: it was taken while this one was stuck, before its turn came.
  #letGo(fd) {
    this.#session.traffic.decline();
    fs.close(fd, () => {});
  }

  // The server was closed while the connection was on its way; another worker may still serve it.
  #giveBack(fd, { listener, past, request }) {
    this.#session.traffic.decline();
    this.#session.back.give(fd, listener, past, request);
  }
}

module.exports = { Connections };
