'use strict';

// Keep-alive clients of `fixtures/seize.js`, one of whose two workers is blocked.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Connection } = require('./client');
const { Script } = require('./cluster');
const { freePort } = require('./ports');
const { elapse } = require('./wait');

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
/** How long a worker is blocked, in milliseconds. */
const BLOCKED = 1500;
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
  return answerOf(connection, began);
}

/** Waits for the rest of an answer whose head has come. */
async function answerOf(connection, began) {
  const answered = () => /\r\n\r\n(\d+)$/.exec(connection.received);
  while (!answered()) await elapse(1, 'the rest of an answer');
  return { pid: Number(answered()[1]), ms: performance.now() - began };
}

/** Opens keep-alive connections with one request each. Those of one worker come first. */
async function clients(script) {
  const all = Array.from({ length: N }, () => new Connection(script.port));
  for (const connection of all) connection.owner = (await ask(connection)).pid;
  // It is the worker with most of them: on a busy machine the other may have none.
  const numberOf = (owner) => all.filter((connection) => connection.owner === owner).length;
  return all.sort((a, b) => numberOf(b.owner) - numberOf(a.owner) || a.owner - b.owner);
}

/**
 * Returns those of the connections that a worker has by now. On a busy machine it may have been
 * stuck before, and then others have some.
 */
async function ownedBy(pid, connections) {
  for (const connection of connections) connection.owner = (await ask(connection)).pid;
  return connections.filter(({ owner }) => owner === pid);
}

/**
 * Blocks the worker of the first connection by a request, and sends one on each other connection:
 * `first`, and `rest` a little later. Returns the answers, and whether each came before the end of
 * the block.
 */
async function during([by, ...connections], { first = GET, rest = '' } = {}) {
  by.received = '';
  // It sends the head just before it blocks.
  await by.say(GET.replace('/', `/block?${BLOCKED}`), '\r\n\r\n');
  let isOver = false;
  const blocked = answerOf(by).finally(() => (isOver = true));
  const answers = await Promise.all(connections.map(async (connection) => {
    const answer = ask(connection, first);
    if (rest) await elapse(100, 'the event loop counts as stuck by then');
    if (rest) connection.socket.write(rest);
    return { ...(await answer), owner: connection.owner, isEarly: !isOver };
  }));
  return { stuck: (await blocked).pid, answers };
}

function assertServed({ stuck, answers }) {
  assert.ok(answers.some(({ owner }) => owner === stuck), 'it had connections');
  for (const { pid, isEarly, ms } of answers) {
    assert.notStrictEqual(pid, stuck);
    assert.ok(isEarly, `${ms} ms`);
  }
}

function assertKept({ stuck, answers }) {
  const own = answers.filter(({ owner }) => owner === stuck);
  assert.ok(own.length > 0, 'it had connections');
  // It answers nothing while it is blocked.
  for (const { pid } of own) assert.strictEqual(pid, stuck);
}

const closeAll = (connections) => connections.forEach(({ socket }) => socket.destroy());

module.exports = {
  BLOCKED, GET, N, ask, assertKept, assertServed, clients, closeAll, during, ownedBy, start,
};
