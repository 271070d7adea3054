'use strict';

// Clients at awkward moments while their worker is replaced or the cluster shuts down: each gets
// its whole response.

const assert = require('node:assert');
const net = require('node:net');
const tls = require('node:tls');
const { ask } = require('../helpers/ask');
const { selfSigned } = require('../helpers/certificate');
const { Connection } = require('../helpers/client');
const hammer = require('../helpers/hammer');
const { assertCleanEnd, someWorker, startServer } = require('../helpers/hammered');
const { elapse } = require('../helpers/wait');

const TLS = selfSigned();
const BIG = 16 * 1024 * 1024;
/** Waits until the worker has closed its idle connections. */
const idleOnesAreClosed = () => elapse(2500, 'idle connections stay open for 2 s');
const pidIn = ({ received }) => Number(received.match(/first (\d+)/)?.[1]);

/**
 * Reads nothing of a big response until `resume()`, which reads the rest and resolves to
 * `{ received, error }`, with the number of bytes.
 */
async function slowReader(connect) {
  const socket = await new Promise((resolve) => {
    const opening = connect(() => resolve(opening));
  });
  let received = 0;
  let error;
  socket.on('error', (problem) => (error = problem)).on('close', () => {});
  socket.write(`GET /big/b/${BIG} HTTP/1.1\r\nHost: test\r\n\r\n`);
  await new Promise((resolve) => socket.once('readable', resolve));
  const resume = () =>
    new Promise((resolve) => {
      const check = () =>
        (received > BIG || error || socket.destroyed) && resolve({ received, error });
      socket
        .on('data', (data) => ((received += data.length), check()))
        .on('close', check)
        .resume();
    }).finally(() => socket.destroy());
  return { resume };
}

async function assertWhole({ resume }) {
  const { received, error } = await resume();
  assert.strictEqual(error, undefined);
  assert.ok(received > BIG, `${received} of ${BIG} bytes`);
}

describe('a client during a reload', () => {
  const reload = async (script) => {
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
    return script.workers().at(-1);
  };
  const start = (settings) =>
    startServer({ ...settings, options: { noWorkers: 1, ...settings?.options } });

  it('that has connected and sent nothing is answered by the new worker', async () => {
    const script = await start();
    const connection = new Connection(script.port);
    await script.until('it is connected', () => connection.localPort > 0);
    for (let i = 0; i < 2; i++) await reload(script);
    await script.until('the old ones are gone', () => script.emitted('died').length === 2);
    await connection.say('GET /now/a/0 HTTP/1.1\r\nHost: test\r\n\r\n', 'first');
    assert.deepStrictEqual([pidIn(connection)], script.workers());
    connection.socket.destroy();
  });

  it('in the middle of a request’s head is answered by the old worker', async () => {
    const script = await start();
    const [old] = script.workers();
    const connection = new Connection(script.port);
    await connection.say('GET /now/a/0 HTTP/1.1\r\nHost: test\r\n\r\n', 'first');
    connection.received = '';
    connection.socket.write('GET /now/b/0 HTTP/1.1\r\nHo');
    // Its worker has read that far once it answers later requests.
    for (let i = 0; i < 5; i++) await someWorker(script.port);
    await reload(script);
    await idleOnesAreClosed();
    await connection.say('st: test\r\n\r\n', 'first');
    assert.strictEqual(pidIn(connection), old);
    connection.socket.destroy();
  });

  it('in the middle of a request’s body, or of a pipeline, is answered', async () => {
    const script = await start();
    const body = new Connection(script.port);
    body.socket.write('POST /now/a/0 HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n01234');
    const pipeline = new Connection(script.port);
    await pipeline.say(
      ['slow/b/1000', 'late/c/500', 'now/d/0']
        .map((it) => `GET /${it} HTTP/1.1\r\nHost: test\r\n\r\n`)
        .join(''),
      'b ',
    );
    pipeline.socket.write('GET /now/e/0 HTTP/1.1\r\nHo');
    await reload(script);
    pipeline.socket.write('st: test\r\n\r\n');
    await pipeline.hears('e 0 ');
    await idleOnesAreClosed();
    await body.say('56789', 'a 10 ');
    await script.until('the old one is gone', () => script.emitted('died').length === 1);
    assert.deepStrictEqual([body.closed, pipeline.closed], [false, false], 'both were moved');
    for (const { socket } of [body, pipeline]) socket.destroy();
  });

  it('that reads a big response slowly gets all of it', async () => {
    const script = await start();
    const reader = await slowReader((then) => net.connect(script.port, '127.0.0.1', then));
    await reload(script);
    await idleOnesAreClosed();
    await assertWhole(reader);
  });

  it('that reads a big response slowly over TLS gets all of it', async () => {
    const script = await start({ env: { KIND: 'https', TLS: JSON.stringify(TLS) } });
    const options = { port: script.port, host: '127.0.0.1', rejectUnauthorized: false };
    const reader = await slowReader((then) => tls.connect(options, then));
    await reload(script);
    await idleOnesAreClosed();
    await assertWhole(reader);
  });
});

describe('a client during a shutdown', () => {
  it('that reads a big response slowly gets all of it', async () => {
    const script = await startServer();
    const reader = await slowReader((then) => net.connect(script.port, '127.0.0.1', then));
    script.kill();
    await idleOnesAreClosed();
    await assertWhole(reader);
    await assertCleanEnd(script);
  });
});

describe('SIGTERM to a worker', () => {
  it('costs no client a request, under load', async () => {
    const script = await startServer();
    const load = hammer.start(script.port);
    await load.answered(100);
    const [victim] = script.workers();
    process.kill(victim, 'SIGTERM');
    await script.until('it is gone and replaced', () =>
      script.emitted('died').length === 1 && script.emitted('listening').length === 3);
    await load.answered(100);
    hammer.assertClean(await load.stop());
    assert.deepStrictEqual(script.emitted('died'), [
      [victim, { code: 0, signal: null, reason: 'leave' }],
    ]);
  });
});
