'use strict';

// Connections that cannot be moved to another worker: TLS, HTTP/2, WebSocket, raw TCP. The worker
// closes them gracefully, or waits for their ends.

const assert = require('node:assert');
const { ask } = require('../helpers/ask');
const { selfSigned } = require('../helpers/certificate');
const { Connection } = require('../helpers/client');
const hammer = require('../helpers/hammer');
const { assertCleanEnd, startServer } = require('../helpers/hammered');
const { Http2Client } = require('../helpers/http2');
const { until } = require('../helpers/wait');
const { Wire } = require('../helpers/wire');

const TLS = selfSigned();
const start = (kind, options) =>
  startServer({ options, env: { KIND: kind, TLS: JSON.stringify(TLS) } });
const UPGRADE =
  'GET /upgrade/0/0 HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n';
const leftBehind = (script) => script.emitted('died').length;

describe('https', () => {
  const CLIENTS = { keepAlive: 4, oneShot: 2, slow: 3, late: 3, upload: 2, chunked: 2 };
  const secure = (script) => ({ host: '127.0.0.1', port: script.port, secure: true });

  it('reloads without an error: clients get Connection: close, and reconnect', async () => {
    const script = await start('https');
    const load = hammer.start(secure(script), { clients: CLIENTS });
    await load.answered(100);
    for (let i = 1; i <= 2; i++) {
      assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
      await script.until('the old workers are gone', () => leftBehind(script) === 2 * i);
    }
    await load.answered(100);
    const report = await load.stop();
    hammer.assertClean(report, { except: ['toldToClose', 'reconnects'] });
    assert.ok(report.toldToClose > 0 && report.reconnects >= report.toldToClose);
  });

  it('shuts down without an error', async () => {
    const script = await start('https');
    const load = hammer.start(secure(script), { clients: CLIENTS, untilRefused: true });
    await load.answered(100);
    script.kill();
    hammer.assertClean(await load.stop(), {
      except: ['refused', 'reconnects', 'toldToClose', 'dropped'],
    });
    await assertCleanEnd(script);
  });

  it('waits for one more request on an idle connection, then closes it gracefully', async () => {
    const script = await start('https', { noWorkers: 1 });
    const wires = [new Wire(secure(script)), new Wire(secure(script))];
    for (const wire of wires) {
      wire.write('GET /now/one/0 HTTP/1.1\r\nHost: test\r\n\r\n');
      assert.notStrictEqual((await wire.answer(5000)).headers.connection, 'close');
    }
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
    const [used, idle] = wires;
    // The reload is done when the new worker is ready. The old one learns a moment later to leave.
    await until('an answer asks for another connection', async () => {
      used.write('GET /now/two/0 HTTP/1.1\r\nHost: test\r\n\r\n');
      return (await used.answer(5000)).headers.connection === 'close';
    });
    await Promise.all(wires.map((wire) => wire.closed));
    assert.deepStrictEqual([idle.dropped, idle.outcome], [true, 'empty']);
  });
});

describe('http2', () => {
  async function client(http2, state) {
    const paths = ['/now/a/0', '/late/b/80', '/slow/c/60'];
    while (!state.stopped) await Promise.all(paths.map((path) => exchange(http2, path, state)));
    await http2.close();
  }

  async function exchange(http2, path, state) {
    try {
      const body = await http2.get(path);
      if (!body.startsWith(path.split('/')[2])) throw new Error(`answered '${body}'`);
      state.ok += 1;
    } catch (error) {
      state.troubles.push(`${path}: ${error.code} ${error.message}`);
    }
  }

  it('gets GOAWAY in a reload, and every started stream finishes', async () => {
    const script = await start('http2');
    const state = { ok: 0, troubles: [], stopped: false };
    const origin = `https://127.0.0.1:${script.port}`;
    const sessions = Array.from(
      { length: 4 },
      () => new Http2Client(origin, { rejectUnauthorized: false }),
    );
    const clients = sessions.map((http2) => client(http2, state));
    await script.until('there is load', () => state.ok > 50);
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
    await script.until('the old workers are gone', () => leftBehind(script) === 2);
    const before = state.ok;
    await script.until('there is load again', () => state.ok > before + 30);
    state.stopped = true;
    await Promise.all(clients);
    assert.deepStrictEqual(state.troubles, []);
    assert.deepStrictEqual(sessions.flatMap(({ errors }) => errors), []);
    const goaways = sessions.flatMap((session) => session.goaways);
    assert.ok(goaways.length >= 4 && goaways.every((code) => code === 0), `${goaways}`);
    assert.deepStrictEqual(
      script.emitted('died').map(([, { code, reason }]) => [code, reason]),
      Array(2).fill([0, 'reload']),
    );
  });
});

describe('connections without requests', () => {
  const kinds = {
    'a WebSocket': ['http', (connection) => connection.say(UPGRADE, 'Upgrade: echo\r\n\r\n')],
    'raw TCP': ['net', (connection) => connection.say('hello', 'hello')],
  };

  for (const [name, [kind, open]] of Object.entries(kinds)) {
    it(`${name} stays with its worker during a reload, until it ends`, async () => {
      const script = await start(kind);
      const old = script.workers();
      const connections = Array.from({ length: 4 }, () => new Connection(script.port));
      await Promise.all(connections.map(open));
      assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
      await Promise.all(
        connections.map((connection) => connection.say('still there', 'still there')),
      );
      assert.ok(
        script.workers().some((pid) => old.includes(pid)),
        'the old workers are still there',
      );
      connections.forEach(({ socket }) => socket.end());
      await script.until('the old workers are gone', () => leftBehind(script) === 2);
      assert.deepStrictEqual(connections.map(({ error }) => error), Array(4).fill(undefined));
    });

    it(`${name} stays until shutdownTimeout, when it is cut and reported`, async () => {
      const script = await start(kind, { noWorkers: 1, shutdownTimeout: 1500 });
      const connection = new Connection(script.port);
      await open(connection);
      const asked = performance.now();
      assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
      await connection.say('still there', 'still there');
      await connection.isClosed();
      assert.ok(performance.now() - asked > 1400);
      await script.until(
        'it is reported',
        () => script.emitted('warning').length === 1 && leftBehind(script) === 1,
      );
      assert.match(
        script.emitted('warning')[0][0].message,
        /did not finish within 1500 ms \(shutdownTimeout\).* 1 open connection/,
      );
    });
  }
});
