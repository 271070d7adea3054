'use strict';

// Ports that only one worker uses: those that it opens for one of its clients, and one that it has
// found free. They are its own, as in plain Node.

const assert = require('node:assert');
const { ask } = require('../helpers/ask');
const { Connection } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');

/** A client that asks for ports. */
class Client {
  #control;

  constructor(port) {
    this.#control = new Connection(port);
  }

  /** The pid of its worker. */
  async worker() {
    await this.#control.hears('\n');
    return Number(/hello (\d+)/.exec(this.#control.received)[1]);
  }

  /** Has its worker listen on a port. Returns the port. */
  async open(port = 0) {
    this.#control.received = '';
    await this.#control.say(String(port), '\n');
    return Number(/port (\d+)\n/.exec(this.#control.received)?.[1]);
  }

  end() {
    this.#control.socket.end();
  }
}

/** What a client of the port receives. */
async function received(port) {
  const connection = new Connection(port);
  await connection.isClosed();
  return connection.error?.code ?? connection.received;
}

for (const [where, settings] of Object.entries({
  'under the command line': { cli: ['--workers', '2', '--mon-port', 'off'] },
  'in a Cluster': { env: { API: 'yes' } },
})) {
  describe(`a port that a worker opens for a client, ${where}`, () => {
    const start = async (env) => {
      const port = await freePort();
      const all = { ...settings, env: { ...settings.env, ...env }, port };
      return new Script('passive.js', all).ready();
    };

    /** A client of each worker. */
    async function clients(script) {
      const found = new Map();
      await until('there is a client of each', async () => {
        const client = new Client(script.port);
        const worker = await client.worker();
        if (found.has(worker)) client.end();
        else found.set(worker, client);
        return found.size === 2;
      });
      return [...found];
    }

    it('leads to that worker, even if others open ports too', async () => {
      const all = await clients(await start());
      const ports = await Promise.all(all.map(([, client]) => client.open()));
      assert.notStrictEqual(ports[0], ports[1]);
      for (const [index, [worker]] of all.entries())
        assert.strictEqual(await received(ports[index]), `data of ${worker}`);
      assert.strictEqual(await received(ports[0]), 'ECONNREFUSED', 'it was closed');
    });

    it('neither fails a reload, nor has to be open before it', async () => {
      const script = await start();
      const [[worker, client]] = await clients(script);
      const before = await client.open();
      assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
      assert.strictEqual(await received(before), `data of ${worker}`);
      for (const port of [0, await freePort()])
        assert.strictEqual(await received(await client.open(port)), `data of ${worker}`);
      client.end();
      await script.until('its worker is gone', () => !script.workers().includes(worker));
    });

    it('may be opened in a shutdown', async () => {
      const script = await start();
      const [[worker, client], [, other]] = await clients(script);
      script.kill();
      await until('no new clients come', async () => {
        const late = new Client(script.port);
        const isRefused = await late.worker().then(() => false, () => true);
        late.end();
        return isRefused;
      });
      for (const port of [0, await freePort()])
        assert.strictEqual(await received(await client.open(port)), `data of ${worker}`);
      client.end();
      other.end();
      assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    });

    it('is free if the script looks for a free port while others do so too', async () => {
      const script = await start({ PROBE: 'yes' });
      const found = script
        .events({ allProcesses: true })
        .flatMap(([name, port]) => (name === 'probe' ? [port] : []));
      assert.strictEqual(new Set(found).size, 2, String(found));
    });
  });
}
