'use strict';

// The connections that come to this worker, from the master or by a lane, on their way to a server
// of the app. What always holds: each of them reaches a server that listens, or goes back to the
// master; and it counts as open from the moment it is here.

const { INDEX } = require('../http/counters');
const { NUMBERS, enterBeyondLimit, originFrom } = require('../http/moved-connection');

class Connections {
  #session;

  /** @param {Session} session */
  constructor(session) {
    this.#session = session;
  }

  /** Takes `count` connections from the master: NUMBERS for each in `batch`. */
  take(batch, count) {
    this.#session.traffic.expect(count);
    const end = NUMBERS * count;
    for (let i = 0; i < end; i += NUMBERS) this.#take(batch[i], originFrom(batch, i + 1));
  }

  #take(fd, origin) {
    const { listeners, traffic } = this.#session;
    const listener = listeners.get(origin.listener);
    if (!this.#mayTake(listener)) return this.#giveBack(fd, origin);
    try {
      const enter = () => listener.take(fd);
      const enterMoved = () => enterBeyondLimit(listener.server, enter);
      listener.enter(() => traffic.admit(origin, origin.past ? enterMoved : enter));
    } catch (error) {
      // A 'connection' listener of the app threw. That is an uncaught error, but not of the
      // connections behind this one.
      setImmediate(() => {
        throw error;
      });
    }
  }

  /** Takes a connection that came by the lane of a listener. */
  accept(listener, connection, fd) {
    const { counters, traffic } = this.#session;
    // Where descriptors are lacking, libuv would end those that wait on the lane. The master hands
    // over as many as there is room for.
    if (fd >= counters.row[INDEX.lastDescriptor]) listener.leaveLane();
    traffic.expect(1);
    listener.enter(() => traffic.admit(listener.origin, () => listener.accept(connection)));
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

  // The server was closed while the connection was on its way; another worker may still serve it.
  #giveBack(fd, { listener, past }) {
    this.#session.traffic.expect(-1);
    this.#session.back.give(fd, listener, past);
  }
}

module.exports = { Connections };
