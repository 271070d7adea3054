'use strict';

// Requests that last for as long as a test wants, and no longer: what is to happen meanwhile may
// take any time.

const { ask } = require('./ask');
const { Connection } = require('./client');

/**
 * A request to `/held` of `fixtures/commands.js`, of which the last byte is missing until
 * `finish()`.
 */
class Held {
  #connection;

  constructor(port) {
    this.#connection = new Connection(port);
    this.#connection.socket.write(
      'POST /held HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 2\r\n\r\n1',
    );
  }

  /**
   * Completes it, and returns the pid of the worker that answered; rejects if the answer is not
   * there or not whole.
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
 * Gives each worker a request that it has until it is finished. Which one is next is nobody's
 * promise: asks until each has.
 */
async function occupy(script) {
  const held = [];
  await script.until('every worker has a request', async () => {
    const { ok } = await ask(script.cwd, 'status');
    const active = ok.workers.map(({ requests }) => requests.active);
    if (active.every((count) => count > 0)) return true;
    if (active.reduce((sum, count) => sum + count) === held.length)
      held.push(new Held(script.port));
    return false;
  });
  return held;
}

module.exports = { Held, occupy };
