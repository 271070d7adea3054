'use strict';

// The option `moveIdle`: if it is off, each request on a connection finds the state that the app
// keeps for that connection.

const assert = require('node:assert');
const { ask } = require('../helpers/ask');
const { Connection } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');

const get = (path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const FLAGS = ['--workers', '1', '--mon-port', 'off'];

async function start({ moveIdle, cli }) {
  const port = await freePort();
  const flags = [...FLAGS, '--port', String(port), ...(moveIdle ? [] : ['--no-move-idle'])];
  const env = { KIND: cli ? 'plain' : 'cluster' };
  return new Script('connection-state.js', {
    port,
    env,
    options: { moveIdle },
    cli: cli ? flags : undefined,
  }).ready(1);
}

/**
 * Sends requests on one connection after `leave(script)`, until an answer shows that its worker
 * leaves. The worker learns that a moment after the caller, and answers as before until then.
 */
async function over(script, leave, isOther) {
  const connection = new Connection(script.port);
  const [old] = script.workers();
  await connection.say(get('/first'), ' at ');
  await leave(script);
  await script.until('an answer shows it', async () => {
    connection.received = '';
    await connection.say(get('/second'), ' at ');
    return isOther(connection.received, old);
  });
  return { connection, old, answer: connection.received };
}

const reload = async (script) =>
  assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
const terminate = async (script) => {
  const [old] = script.workers();
  process.kill(old);
  await script.until('another worker is there', () => script.workers().some((pid) => pid !== old));
};

describe('with moveIdle: false', () => {
  for (const cli of [false, true]) {
    for (const [what, leave] of Object.entries({ reload, 'SIGTERM to its worker': terminate })) {
      it(`a ${what} lets ${cli ? 'a plain script' : 'an app'} answer once more`, async () => {
        const script = await start({ moveIdle: false, cli });
        const asksToLeave = (text) => /Connection: close/.test(text);
        const { connection, old, answer } = await over(script, leave, asksToLeave);
        assert.ok(answer.includes(`/first at ${old}`), answer);
        assert.match(answer, /Connection: close/);
        await connection.isClosed();
        assert.ok(connection.ended && !connection.error, 'without a reset');
      });
    }
  }

  it('a reload ends an idle connection without further requests, without a reset', async () => {
    const script = await start({ moveIdle: false });
    const connection = new Connection(script.port);
    await connection.say(get('/first'), ' at ');
    await reload(script);
    await connection.isClosed();
    assert.ok(connection.ended && !connection.error);
  });
});

describe('with moveIdle: true', () => {
  it('a reload moves an idle connection, without the state of its socket', async () => {
    const script = await start({ moveIdle: true });
    const isMoved = (text, old) => !text.includes(String(old));
    const { old, answer } = await over(script, reload, isMoved);
    assert.ok(answer.includes('/second at ') && !answer.includes(String(old)), answer);
    assert.doesNotMatch(answer, /Connection: close/);
  });
});
