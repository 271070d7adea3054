'use strict';

// Idle connections of a worker whose event loop is stuck are served by others.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Connection } = require('../helpers/client');
const {
  GET, N, ask, assertKept, assertServed, clients, closeAll, during, start,
} = require('../helpers/stuck');
const { until } = require('../helpers/wait');

/** How long a listener of the fixture blocks, milliseconds. */
const BLOCKED = 1500;

/** How many connections all workers have. */
async function active(script) {
  const { workers } = await script.status();
  return workers.reduce((sum, { connections }) => sum + connections.active, 0);
}

describe('idle connections of a worker that is stuck', () => {
  const ways = {
    'least-connections': {},
    'round-robin': { balance: 'round-robin' },
    'a unix socket': { unix: true },
  };
  for (const [way, settings] of Object.entries(ways)) {
    it(`are served by others: ${way}`, async () => {
      const script = await start(settings);
      const connections = await clients(script);
      assertServed(await during(connections));
      // They live on: after the block, and over a block of the other one.
      for (const connection of connections) connection.owner = (await ask(connection)).pid;
      // The first one is still with the worker that it blocked.
      assertServed(await during([...connections.slice(1), connections[0]]));
      const ended = connections.filter(({ closed, error }) => closed || error);
      assert.deepStrictEqual(ended, []);
      closeAll(connections);
    });
  }

  it('are served even if nothing was ever read from them, or half of a request comes', async () => {
    const script = await start();
    const used = await clients(script);
    const unused = Array.from({ length: N }, () => new Connection(script.port));
    await Promise.all(unused.map(({ socket }) => new Promise((r) => socket.once('connect', r))));
    await until('they are accepted', async () => (await active(script)) === 2 * N);
    const halves = { first: GET.slice(0, 9), rest: GET.slice(9) };
    const result = await during([...used, ...unused], halves);
    assertServed(result);
    closeAll([...used, ...unused]);
  });

  it('stay with it if a part of the next request was read before', async () => {
    const script = await start();
    const connections = await clients(script);
    for (const connection of connections.slice(1)) {
      // The answer to the first shows that both were read.
      connection.owner = (await ask(connection, GET + GET.slice(0, 9))).pid;
    }
    assertKept(await during(connections, { first: GET.slice(9) }));
    closeAll(connections);
  });

  for (const options of [{ moveIdle: false }, { balance: 'ip-hash' }]) {
    it(`stay with it with ${JSON.stringify(options)}`, async () => {
      const script = await start(options);
      const connections = await clients(script);
      assertKept(await during(connections));
      closeAll(connections);
    });
  }

  it('stay with it if the app handles SIGURG itself, which it never gets', async () => {
    const script = await start({ env: { KIND: 'signal' } });
    const connections = await clients(script);
    assertKept(await during(connections));
    assert.deepStrictEqual(script.emitted('died'), []);
    closeAll(connections);
  });

  it('behind the one whose listener blocks are served by others', async () => {
    const BLOCK = path.join(fs.mkdtempSync('/tmp/cluster2-seize-'), 'block');
    const script = await start({ env: { KIND: 'connection', BLOCK } });
    // Both are busy while the others come, so that each accepts several at once.
    const busy = await clients(script);
    for (const connection of [busy[0], busy.at(-1)]) {
      connection.received = '';
      // It sends the head just before it blocks.
      await connection.say(GET.replace('/', '/block?300'), '\r\n\r\n');
    }
    fs.writeFileSync(BLOCK, '');
    const all = Array.from({ length: N }, () => new Connection(script.port));
    const answers = await Promise.all(all.map((connection) => ask(connection)));
    const slow = answers.filter(({ ms }) => ms >= BLOCKED);
    assert.ok(slow.length <= 1, `${slow.length} waited for its end`);
    assert.ok(!fs.existsSync(BLOCK), 'one was blocked');
    // After its answer the blocked worker learns which ones it no longer has.
    await until('all are open once', async () => (await active(script)) === 2 * N);
    closeAll([...busy, ...all]);
  });
});
