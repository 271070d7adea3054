'use strict';

// The examples of the manual, as a reader would run them.

const assert = require('node:assert');
const fs = require('node:fs');
const { createRequire } = require('node:module');
const os = require('node:os');
const path = require('node:path');
const { Connection, request } = require('../helpers/client');
const { Example, setUp, tearDown } = require('../helpers/examples');
const { Load } = require('../helpers/load');
const { until } = require('../helpers/wait');

const FOLDER = path.join(__dirname, '..', '..', 'examples');
const TESTS = [
  'examples/manual',
  'examples/frameworks',
  'examples/container',
  'frameworks/next',
].map((name) => `${name}.test.js`);
const CLEAN = { code: 0, signal: null };
const lines = ({ script }) => script.output.split('\n').filter(Boolean);

/** Ends a server from another process, and checks that nothing of it is left. */
async function endedBy(command, example) {
  const workers = example.script.workers();
  assert.strictEqual(workers.length, os.availableParallelism(), 'one worker for each processor');
  assert.deepStrictEqual(await example.run(command).ended(), CLEAN, `${command} itself ends well`);
  assert.deepStrictEqual(await example.script.ended(), CLEAN, 'and so does the server');
  assert.deepStrictEqual(example.leftovers(), [], 'nothing is left in pids');
  await assert.rejects(request(example.port), { code: 'ECONNREFUSED' });
}

async function echo(port, text) {
  const connection = new Connection(port);
  await connection.hears('hello\r\n');
  await connection.say(text, text);
  connection.socket.end();
  await connection.isClosed();
  assert.strictEqual(connection.received, `hello\r\n${text}`);
}

describe('the examples', () => {
  before(setUp);
  after(tearDown);

  it('find the module by its name, even inside the repository', () => {
    const found = createRequire(path.join(FOLDER, 'http-server.js')).resolve('cluster2-rs');
    assert.strictEqual(found, path.join(FOLDER, '..', 'index.js'));
  });

  it('are all covered by tests', () => {
    const isScript = (name) =>
      /\.(m?js|ts)$/.test(name) &&
      fs.readFileSync(path.join(FOLDER, name), 'utf8').includes('cluster2-rs');
    const files = fs.readdirSync(FOLDER, { recursive: true }).filter(isScript);
    const tests = TESTS.map((name) =>
      fs.readFileSync(path.join(__dirname, '..', name), 'utf8'),
    ).join('\n');
    assert.deepStrictEqual(
      files.filter((name) => !tests.includes(`'${name}'`)),
      [],
    );
  });

  it('TCP: greets, echoes many connections at once, and notices their ends', async () => {
    const example = await Example.start('tcp-server.js');
    await Promise.all(Array.from({ length: 50 }, (_, i) => echo(example.port, `client ${i}`)));
    const disconnected = () =>
      lines(example).filter((line) => line === 'server disconnected').length;
    await example.script.until('all ends are noticed', () => disconnected() === 50);
    await endedBy('stop.js', example);
  });

  for (const name of ['http-server.js', 'express/express-server.js']) {
    it(`${name}: answers under load, and a shutdown loses no request`, async () => {
      const example = await Example.start(name);
      assert.strictEqual((await request(example.port)).body, 'hello');
      const load = new Load(example.port, [{ clients: 8 }, { clients: 8, keepAlive: true }]);
      await example.script.until('500 answers under load', () => load.counts.ok > 500);
      await endedBy('shutdown.js', example);
      await load.refused();
      assert.deepStrictEqual(
        load.seen,
        { ok: load.counts.ok, refused: 16 },
        load.trouble.join('\n'),
      );
    });
  }

  it('HTTP: the one that `npm start` runs prints once what to try next', async () => {
    const example = await Example.start('http-server.js');
    await example.script.until('it is said', () => example.script.output.includes('stop.js'));
    assert.strictEqual(example.script.output.match(/curl/g).length, 1);
    await endedBy('stop.js', example);
  });

  it('graceful: an idle client gets one more response, with Connection: close', async () => {
    const example = await Example.start('graceful-server.js');
    const client = new Connection(example.port);
    await client.say('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', 'hello');
    assert.deepStrictEqual(await example.run('shutdown.js').ended(), CLEAN);
    // The master stops admitting first. The worker learns of the shutdown a moment later.
    await until('an answer asks to leave', async () => {
      client.received = '';
      await client.say('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', 'hello');
      return /^HTTP\/1\.1 200 OK\r\nconnection: close\r\n/i.test(client.received);
    });
    await client.isClosed();
    assert.deepStrictEqual(await example.script.ended(), CLEAN);
    assert.deepStrictEqual(example.leftovers(), []);
    assert.strictEqual(
      example.script.errors,
      '',
      'writeHead called twice, as in the manual, does no harm',
    );
  });

  it('events: prints forks, deaths and signals', async () => {
    const example = await Example.start('events-server.js');
    const [victim, other] = example.script.workers();
    process.kill(victim, 'SIGKILL');
    const { script } = example;
    await script.until('the death is reported', () =>
      lines(example).includes(`Worker ${victim} died`),
    );
    assert.ok(lines(example).includes('Got SIGKILL'));
    await script.until('there is a new one', () => example.isReady(os.availableParallelism()));
    const alive = script.workers();
    assert.ok(!alive.includes(victim) && (other === undefined || alive.includes(other)));
    for (const pid of [victim, ...alive])
      assert.ok(lines(example).includes(`Worker ${pid} forked`));
    script.kill('SIGTERM');
    assert.deepStrictEqual(await script.ended(), CLEAN);
    assert.ok(lines(example).includes('Got SIGTERM - shutting down'));
    for (const pid of alive) assert.ok(lines(example).includes(`Worker ${pid} died`));
  });

  it('events: prints Ctrl-C and ends gracefully', async () => {
    const example = await Example.start('events-server.js');
    example.script.kill('SIGINT');
    assert.deepStrictEqual(await example.script.ended(), CLEAN);
    assert.ok(lines(example).includes('Got SIGINT'));
  });
});
