'use strict';

// Requests that stay in flight until the test finishes them.

const { Connection } = require('./client');

/** A request to `/held` of `fixtures/commands.js` whose last byte is missing until `finish()`. */
class HeldRequest {
  #connection;

  constructor(port) {
    this.#connection = new Connection(port);
    this.#connection.socket.write(
      'POST /held HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 2\r\n\r\n1',
    );
  }

  /**
   * Completes the request, and returns the pid of the worker that answered. Rejects if the answer
   * is missing or incomplete.
   */
  async finish() {
    this.#connection.socket.write('2');
    await this.#connection.isClosed();
    const { received, error } = this.#connection;
    const answer = received.match(/^HTTP\/1\.1 200 .*held (\d+) end/s);
    if (!answer || error) throw new Error(`not answered: '${received}' ${error ?? ''}`);
    return Number(answer[1]);
  }
}

/**
 * Gives each worker a request that stays in flight. Sends more until each worker has one, for any
 * worker may be next.
 */
async function holdRequests(script) {
  const held = [];
  await script.until('every worker has a request', async () => {
    const { workers } = await script.status();
    const active = workers.map(({ requests }) => requests.active);
    if (active.every((count) => count > 0)) return true;
    if (active.reduce((sum, count) => sum + count) === held.length)
      held.push(new HeldRequest(script.port));
    return false;
  });
  return held;
}

/** Finishes the requests, and checks that none was lost. */
const finishAll = (held) => Promise.all(held.map((request) => request.finish()));

module.exports = { HeldRequest, finishAll, holdRequests };
