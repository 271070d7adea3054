'use strict';

// An HTTP server that does not listen, but gets the connections of another server: by their first
// bytes, after TLS, or all of them. Its clients are told to leave like all others.

const assert = require('node:assert');
const { ask } = require('../helpers/ask');
const { selfSigned } = require('../helpers/certificate');
const { request } = require('../helpers/client');
const { Script, isAlive } = require('../helpers/cluster');
const hammer = require('../helpers/hammer');
const { startServer } = require('../helpers/hammered');
const { Http2Wire } = require('../helpers/http2-wire');
const { freePort } = require('../helpers/ports');
const { elapse, until } = require('../helpers/wait');
const { Wire } = require('../helpers/wire');

const TLS = selfSigned();
const CLIENTS = { keepAlive: 4, oneShot: 2, slow: 3, late: 3, upload: 2 };
const start = (kind, options) =>
  startServer({ options, env: { KIND: kind, TLS: JSON.stringify(TLS) } });
const GET = 'GET /now/one/0 HTTP/1.1\r\nHost: test\r\n\r\n';
/** The sum of `of(worker)` over the workers in `status()`. */
const count = async (script, of) =>
  (await script.status()).workers.reduce((sum, worker) => sum + of(worker), 0);
const active = ({ connections }) => connections.active;
/** For each kind of other server, whether the client speaks TLS. */
const KINDS = {
  sniffed: false, handed: false, sniffedTls: true, handedByTls: true,
  ownTls: true, ownStream: false, called: false,
};

describe('an HTTP server that gets connections of another server', () => {
  for (const [kind, secure] of Object.entries(KINDS)) {
    it(`(${kind}) reloads and shuts down without errors or waits for idle clients`, async () => {
      const script = await start(kind);
      const target = { host: '127.0.0.1', port: script.port, secure };
      const idle = new Wire(target);
      idle.write(GET);
      assert.notStrictEqual((await idle.answer(5000)).headers.connection, 'close');
      const load = hammer.start(target, { clients: CLIENTS });
      await load.answered(100);
      assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
      await script.until('the old workers are gone', () => script.emitted('died').length === 2);
      await load.answered(100);
      const report = await load.stop();
      hammer.assertClean(report, { except: ['toldToClose', 'reconnects'] });
      assert.ok(await count(script, ({ requests }) => requests.total) > 50);
      // A client has the end of an answer before its worker has counted it.
      await script.until('none is active', async () =>
        (await count(script, ({ requests }) => requests.active)) === 0);
      const last = new Wire(target);
      last.write(GET);
      await last.answer(5000);
      script.kill();
      assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
      assert.deepStrictEqual(script.emitted('warning'), []);
      await Promise.all([idle.closed, last.closed]);
      assert.deepStrictEqual([idle.outcome, last.outcome], ['empty', 'empty']);
    });
  }

  it('does not count as idle while the first request is partly read', async () => {
    const script = await start('sniffed', { noWorkers: 1 });
    const wire = new Wire({ host: '127.0.0.1', port: script.port });
    wire.write(GET.slice(0, 9));
    await script.until('the worker has it', async () => (await count(script, active)) === 1);
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
    await elapse(2500, 'idle connections stay open for 2 s');
    wire.write(GET.slice(9));
    const { status, headers } = await wire.answer(5000);
    assert.deepStrictEqual([status, headers.connection], [200, 'close']);
    await script.until('the old worker is gone', () => script.emitted('died').length === 1);
  });

  it('of HTTP/2 sends GOAWAY to its sessions', async () => {
    const script = await start('handedH2c', { noWorkers: 1 });
    const wire = new Http2Wire(script.port);
    wire.ask(1, '/now/one/0');
    assert.match(await wire.answer(1), /^one/);
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
    await until('it has ended', () => wire.isClosed);
    assert.deepStrictEqual([wire.goaways[0].last, wire.error], [2 ** 31 - 1, undefined]);
    await script.until('the old worker is gone', () => script.emitted('died').length === 1);
  });
});

describe('a server whose script sends its connections to another process', () => {
  const FLAGS = ['--workers', '1', '--mon-port', 'off'];

  it('counts none of them, and waits in a reload only for those that are still open', async () => {
    const script = await new Script('passes-to-child.js', {
      port: await freePort(),
      cli: FLAGS,
    }).ready(1);
    const [old] = script.workers();
    for (let i = 0; i < 5; i++)
      assert.strictEqual((await request(script.port, '/', { agent: false })).body, 'sent');
    await script.until('none is counted', async () => (await count(script, active)) === 0, 3000);
    let isAnswered = false;
    const slow = request(script.port, '/slow', { agent: false }).finally(() => (isAnswered = true));
    const total = ({ connections }) => connections.total;
    await script.until('it was passed on', async () => (await count(script, total)) === 6);
    await ask(script.cwd, 'reload');
    assert.strictEqual(isAnswered, false);
    assert.strictEqual((await slow).body, 'sent');
    await script.until('the old worker is gone', () => !isAlive(old), 4000);
  });
});
