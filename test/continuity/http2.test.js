'use strict';

// HTTP/2 while workers are replaced: a session gets a first GOAWAY before it ends, so that requests
// on their way are answered.

const assert = require('node:assert');
const { once } = require('node:events');
const http2 = require('node:http2');
const { ask } = require('../helpers/ask');
const { selfSigned } = require('../helpers/certificate');
const { startServer } = require('../helpers/hammered');
const { Http2Wire } = require('../helpers/http2-wire');
const { until } = require('../helpers/wait');

const HIGHEST = 2 ** 31 - 1;
const TLS = selfSigned();
const start = (kind, options) =>
  startServer({
    options: { noWorkers: 1, ...options },
    env: { KIND: kind, TLS: JSON.stringify(TLS) },
  });

/** A client that opens a new session after GOAWAY, and never retries. */
class OnceAsking {
  ok = 0;
  troubles = [];
  sessions = 0;
  #origin;
  #session;
  #stopped = false;
  #running;

  constructor(origin, paths) {
    this.#origin = origin;
    this.#running = Promise.all(paths.map((path) => this.#run(path)));
  }

  #current() {
    if (this.#session && !this.#session.closed && !this.#session.destroyed) return this.#session;
    this.sessions += 1;
    this.#session = http2.connect(this.#origin, { rejectUnauthorized: false });
    return this.#session.on('error', ({ message }) => this.troubles.push(message));
  }

  async #run(path) {
    while (!this.#stopped) {
      try {
        let body = '';
        for await (const text of this.#current().request({ ':path': path }).setEncoding('utf8'))
          body += text;
        if (body.startsWith('id')) this.ok += 1;
        else this.troubles.push(`answered '${body}'`);
      } catch ({ code, message }) {
        this.troubles.push(`${path}: ${code} ${message}`);
      }
    }
  }

  async stop() {
    this.#stopped = true;
    await this.#running;
    this.#session.close();
    if (!this.#session.destroyed) await once(this.#session, 'close');
  }
}

describe('a session of HTTP/2', () => {
  const wires = [];
  const connect = (...args) => {
    const wire = new Http2Wire(...args);
    wires.push(wire);
    return wire;
  };
  afterEach(() => wires.splice(0).forEach((wire) => wire.end()));

  it('gets a first GOAWAY, goes on for a moment, and ends after its last stream', async () => {
    const script = await start('h2c');
    const wire = connect(script.port);
    wire.ask(1, '/now/one/0');
    assert.match(await wire.answer(1), /^one/);
    wire.ask(3, '/late/three/1000');
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
    await until('it has a GOAWAY', () => wire.goaways.length > 0);
    // As a client that has not read the GOAWAY yet.
    wire.ask(5, '/now/five/0');
    assert.match(await wire.answer(5), /^five/);
    assert.match(await wire.answer(3), /^three/);
    await until('it has ended', () => wire.isClosed);
    assert.deepStrictEqual(wire.goaways[0], { last: HIGHEST, code: 0 });
    assert.ok(
      wire.goaways.slice(1).every(({ last, code }) => last === 5 && code === 0) &&
        wire.goaways.length > 1,
    );
    assert.strictEqual(wire.error, undefined);
  });

  it('that is idle gets GOAWAY too, and may still send a request', async () => {
    const script = await start('h2c');
    const wire = connect(script.port);
    wire.ask(1, '/now/one/0');
    await wire.answer(1);
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
    await until('it has a GOAWAY', () => wire.goaways.length > 0);
    wire.ask(3, '/now/three/0');
    assert.match(await wire.answer(3), /^three/);
    await until('it has ended', () => wire.isClosed);
    assert.strictEqual(wire.goaways.at(-1).last, 3);
  });

  it('whose client closes it too still sends the ends of all streams, all at once', async () => {
    const script = await start('h2c');
    const wire = connect(script.port);
    const streams = Array.from({ length: 8 }, (_, index) => 2 * index + 1);
    for (const stream of streams) wire.ask(stream, '/late/id/1500');
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
    await until('it has a GOAWAY', () => wire.goaways.length > 0);
    wire.leave();
    for (const stream of streams) assert.match(await wire.answer(stream), /^id/);
    await until('it has ended', () => wire.isClosed);
  });

  it('whose client leaves its side open does not keep the worker alive', async () => {
    const script = await start('h2c');
    const wire = connect(script.port, { allowHalfOpen: true });
    wire.ask(1, '/now/one/0');
    await wire.answer(1);
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
    await script.until('the old worker is gone', () => script.emitted('died').length === 1);
    assert.deepStrictEqual(script.emitted('warning'), []);
  });

  for (const [kind, scheme] of [['h2c', 'http'], ['http2', 'https']]) {
    it(`over ${scheme} loses no request of a client that never retries`, async () => {
      const script = await start(kind, { noWorkers: 2 });
      const paths = ['/now/id/0', '/now/id/0', '/late/id/20', '/slow/id/30'];
      const clients = Array.from(
        { length: 3 },
        () => new OnceAsking(`${scheme}://127.0.0.1:${script.port}`, paths),
      );
      for (let i = 1; i <= 2; i++) {
        const before = clients.map(({ ok }) => ok);
        await script.until('there is load', () =>
          clients.every(({ ok }, index) => ok > before[index] + 30),
        );
        assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
        await script.until(
          'the old workers are gone',
          () => script.emitted('died').length === 2 * i,
        );
      }
      await Promise.all(clients.map((client) => client.stop()));
      assert.deepStrictEqual(clients.flatMap(({ troubles }) => troubles), []);
      assert.ok(clients.every(({ sessions }) => sessions > 2));
    });
  }
});
