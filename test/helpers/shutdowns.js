'use strict';

// The ways to end a server that handles signals itself, in plain Node and under `cluster2 start`,
// while it has open requests. Its script prints `got` for each request to `/slow`, which it answers
// half a second later, and `listens` once in each process.

const assert = require('node:assert');
const http = require('node:http');
const { ask } = require('./ask');
const { request } = require('./client');
const { Script } = require('./cluster');
const { Load } = require('./load');
const { freePort } = require('./ports');

const FLAGS = ['--workers', '2', '--mon-port', 'off'];
const REQUESTS = 20;
const DONE = { code: 0, signal: null };

const count = (text, word) => text.split(`${word}\n`).length - 1;
const toAll = (pids, signal) => pids.forEach((pid) => process.kill(pid, signal));

/** For each way: the signal or command, and whether the service goes on. */
const WAYS = {
  'SIGTERM in plain Node': { plain: 'SIGTERM', leave: (script) => script.kill('SIGTERM') },
  'SIGINT in plain Node': { plain: 'SIGINT', leave: (script) => script.kill('SIGINT') },
  'SIGTERM to one worker': {
    goesOn: true,
    leave: (script) => process.kill(script.workers()[0], 'SIGTERM'),
  },
  'SIGTERM to all workers': { goesOn: true, leave: (script) => toAll(script.workers(), 'SIGTERM') },
  'SIGINT to all workers': { goesOn: true, leave: (script) => toAll(script.workers(), 'SIGINT') },
  'SIGTERM to the group': { leave: ({ pid }) => process.kill(-pid, 'SIGTERM') },
  'SIGINT to the group': { leave: ({ pid }) => process.kill(-pid, 'SIGINT') },
  'a reload': { goesOn: true, leave: ({ cwd }) => ask(cwd, 'reload') },
  'a shutdown': { leave: ({ cwd }) => ask(cwd, 'shutdown') },
};

/** SIGHUP is separate, for many scripts use it for something else. */
const BY_SIGHUP = { goesOn: true, leave: (script) => toAll(script.workers(), 'SIGHUP') };

/** Starts `file`, and waits until it listens. */
async function started(file, { plain }) {
  const script = new Script(file, {
    port: await freePort(),
    detached: true,
    ...(!plain && { cli: FLAGS }),
  });
  if (plain) await script.until('it listens', () => count(script.output, 'listens') === 1);
  else await script.ready();
  return script;
}

/**
 * Ends `file` in this way while it has open requests, and checks that each is answered. If the
 * service goes on, checks that new clients are served too.
 * @param {(signal: string) => object} [plainEnd] how the process ends in plain Node
 */
async function assertAnswersAll(file, way, plainEnd = () => DONE) {
  const script = await started(file, way);
  const agent = new http.Agent({ keepAlive: true });
  const slow = Array.from({ length: REQUESTS }, (_, i) =>
    request(script.port, '/slow', { agent: i % 2 === 0 && agent }),
  );
  await script.until('all requests are there', () => count(script.output, 'got') === REQUESTS);
  const others =
    way.goesOn && new Load(script.port, [{ clients: 4 }, { clients: 4, keepAlive: true }]);
  const before = script.workers();
  const left = way.leave(script);
  const answers = await Promise.allSettled(slow);
  assert.deepStrictEqual(
    answers.map(({ value, reason }) => value?.body ?? reason),
    Array(REQUESTS).fill('slow'),
    script.errors,
  );
  agent.destroy();
  await left;
  const end = way.plain ? plainEnd(way.plain) : DONE;
  if (!way.goesOn) return assert.deepStrictEqual(await script.ended(), end, script.errors);
  const isReplaced = () =>
    script.workers().length === 2 && before.some((pid) => !script.workers().includes(pid));
  await script.until('a worker is replaced', isReplaced);
  await script.until('others are served', () => others.counts.ok > 200);
  await others.stop();
  others.assertOnly('ok');
  script.kill('SIGTERM');
  assert.deepStrictEqual(await script.ended(), DONE, script.errors);
}

module.exports = { BY_SIGHUP, WAYS, assertAnswersAll };
