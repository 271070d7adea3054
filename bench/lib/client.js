'use strict';
// Questions of the benchmark itself: which workers answer, and how many connections each of them
// holds.

const { Connection } = require('./connection');

const DEADLINE_MS = 2000;

// Asks which workers answer, by a connection for each question. One that gets no answer holds up no
// other.
class Inquiry {
  workers = new Set();
  #port;
  #connections = new Set();

  constructor(port) {
    this.#port = port;
  }

  // Asks until `atOnce` questions are on their way.
  ask(atOnce) {
    while (this.#connections.size < atOnce) this.#one(new Connection(this.#port, DEADLINE_MS));
  }

  end() {
    for (const connection of this.#connections) connection.destroy();
  }

  async #one(connection) {
    this.#connections.add(connection);
    const worker = await connection.ask('/pid', { last: true }).catch(() => null);
    if (worker) this.workers.add(Number(worker));
    await connection.close();
    this.#connections.delete(connection);
  }
}

// Opens `count` connections, at once or each after the answer on the one before, and keeps all of
// them until `use` ends. `use` gets those of each worker by its id.
async function withConnections(port, count, use, { atOnce = true } = {}) {
  const connections = [];
  const byWorker = new Map();
  const open = async () => {
    const connection = new Connection(port);
    connections.push(connection);
    const worker = Number(await connection.ask('/pid'));
    byWorker.set(worker, [...(byWorker.get(worker) ?? []), connection]);
  };
  try {
    if (atOnce) await Promise.all(Array.from({ length: count }, open));
    else for (let i = 0; i < count; i++) await open();
    return await use(byWorker);
  } finally {
    await Promise.all(connections.map((connection) => connection.close()));
  }
}

module.exports = { Inquiry, withConnections };
