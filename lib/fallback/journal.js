'use strict';

// The last events, as `Journal` and `describe` of `src/embedder` keep those of one process.

const EVENTS = 100;
/** Characters that are remembered of a message. */
const MESSAGE = 2_000;

/** In words. */
function describe({ type, pid = null, reason, message, addresses }) {
  switch (type) {
    case 'listening': {
      const text = `worker ${pid} is ready, listening on ${addresses.join(', ')}`;
      return { type: 'ready', level: 'info', pid, message: text };
    }
    case 'disable': {
      const of = pid === null ? '' : `worker ${pid}: `;
      return { type: 'switch', level: 'warn', pid, message: `out of rotation: ${of}${reason}` };
    }
    case 'enable':
      return { type: 'switch', level: 'info', pid, message: 'in rotation again' };
    default:
      return { type: 'warning', level: 'warn', pid, message };
  }
}

class Journal {
  #records = [];
  #last = 0;

  add(event) {
    const { type, level, pid, message } = describe(event);
    const time = new Date().toISOString();
    const text = [...message].slice(0, MESSAGE).join('');
    this.#records.push({ seq: ++this.#last, time, type, level, slot: null, pid, message: text });
    if (this.#records.length > EVENTS) this.#records.shift();
  }

  get records() {
    return this.#records;
  }
}

module.exports = { Journal };
