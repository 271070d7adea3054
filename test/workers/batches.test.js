'use strict';

// Connections that come to a worker together: Node has a callback for each.

const assert = require('node:assert');
const { Connections } = require('../../lib/worker/connections');
const { NUMBERS } = require('../../lib/http/moved-connection');

const LISTENER = 7;

/** Takes as many connections as there are numbers, and calls `admitted` with each number. */
function take(numbers, admitted) {
  const listener = { isOpen: true, enter: (run, ...args) => run(...args) };
  const session = {
    listeners: new Map([[LISTENER, listener]]),
    departure: { isUpToScript: false, isMoving: false },
    traffic: { admit: (_origin, _listener, fd) => admitted(fd) },
  };
  const rows = numbers.map((number) => [number, LISTENER, ...Array(NUMBERS - 2).fill(0)]);
  new Connections(session).take(Int32Array.from(rows.flat()), numbers.length);
}

describe('connections that come together', () => {
  it('have their ticks and promises before the next one', async () => {
    const events = [];
    await new Promise((resolve) => setImmediate(() => {
      take([1, 2], (number) => {
        events.push(`connection ${number}`);
        process.nextTick(() => events.push(`tick ${number}`));
        Promise.resolve().then(() => events.push(`promise ${number}`));
      });
      resolve();
    }));
    assert.deepStrictEqual(events, [
      'connection 1', 'tick 1', 'promise 1', 'connection 2', 'tick 2', 'promise 2',
    ]);
  });
});
