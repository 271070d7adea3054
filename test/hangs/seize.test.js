'use strict';

// Idle connections of a worker whose event loop is stuck are served by others.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Connection } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { elapse } = require('../helpers/wait');

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
/** How long a worker is blocked, milliseconds; and what nobody else may wait. */
const [BLOCKED, LIMIT] = [1500, 750];
const N = 32;

async function start({ unix, env, ...options } = {}) {
  const port = unix ? path.join(fs.mkdtempSync('/tmp/cluster2-seize-'), 's') : await freePort();
  return new Script('seize.js', { port, options, env }).ready(2);
}

/** Sends one request, and returns the pid that answered, and after how long. */
async function ask(connection, message = GET) {
  const began = performance.now();
  connection.received = '';
  await connection.say(message, '\r\n\r\n');
  const answered = () => /\r\n\r\n(\d+)$/.exec(connection.received);
  while (!answered()) await elapse(1, 'the rest of an answer');
  return { pid: Number(answered()[1]), ms: performance.now() - began };
}

/** Opens keep-alive connections, each of which had one request: first those of one worker. */
async function clients(script) {
  const all = Array.from({ length: N }, () => new Connection(script.port));
  for (const connection of all) connection.owner = (await ask(connection)).pid;
  // The one that has most of them: on a busy machine the other may have none.
  const numberOf = (owner) => all.filter((connection) => connection.owner === owner).length;
  return all.sort((a, b) => numberOf(b.owner) - numberOf(a.owner));
}

/**
 * Blocks the worker of the first connection by a request, and sends one on each other connection:
 * `first`, and `rest` a little later. Returns the answers.
 */
async function during([by, ...connections], { first = GET, rest = '' } = {}) {
  const blocked = ask(by, GET.replace('/', `/block?${BLOCKED}`));
  await elapse(100, 'the block');
  const answers = await Promise.all(connections.map(async (connection) => {
    const answer = ask(connection, first);
    if (rest) await elapse(100, 'more than a stuck event loop has');
    if (rest) connection.socket.write(rest);
    return { ...(await answer), owner: connection.owner };
  }));
  return { stuck: (await blocked).pid, answers };
}

function assertServed({ stuck, answers }) {
  assert.ok(answers.some(({ owner }) => owner === stuck), 'it had connections');
  for (const { pid, ms } of answers) {
    assert.notStrictEqual(pid, stuck);
    assert.ok(ms < LIMIT, `${ms} ms`);
  }
}

function assertKept({ stuck, answers }) {
  const own = answers.filter(({ owner }) => owner === stuck);
  assert.ok(own.length > 0, 'it had connections');
  for (const { pid, ms } of own) {
    assert.strictEqual(pid, stuck);
    assert.ok(ms > LIMIT, `${ms} ms`);
  }
}

const closeAll = (connections) => connections.forEach(({ socket }) => socket.destroy());

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

  it('are served also if nothing was ever read of them, or half of a request comes', async () => {
    const script = await start();
    const used = await clients(script);
    const unused = Array.from({ length: N }, () => new Connection(script.port));
    await Promise.all(unused.map(({ socket }) => new Promise((r) => socket.once('connect', r))));
    await elapse(100, 'they are accepted');
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
    fs.writeFileSync(BLOCK, '');
    const all = Array.from({ length: N }, () => new Connection(script.port));
    const answers = await Promise.all(all.map((connection) => ask(connection)));
    const slow = answers.filter(({ ms }) => ms > LIMIT);
    assert.ok(slow.length <= 1, `${slow.length} waited`);
    assert.ok(!fs.existsSync(BLOCK), 'one was blocked');
    const { workers } = await script.status();
    const open = workers.reduce((sum, { connections: { active } }) => sum + active, 0);
    assert.strictEqual(open, N);
    closeAll(all);
  });
});
