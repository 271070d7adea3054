'use strict';

// The event `close` of a server: a plain script gets it when Node emits it, after the last
// connection, so that its handler breaks no request. An app passed to `Cluster#listen` gets it at
// the start of a drain too.

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { Connection, request } = require('../helpers/client');
const { Script, isAlive } = require('../helpers/cluster');
const { Load } = require('../helpers/load');
const { freePort } = require('../helpers/ports');
const { BY_SIGHUP, WAYS, assertAnswersAll } = require('../helpers/shutdowns');

const CLI = ['--workers', '1', '--mon-port', 'off'];
const folders = [];
afterEach(() =>
  folders.splice(0).forEach((folder) => fs.rmSync(folder, { recursive: true, force: true })),
);

/** Starts a script of this code in one worker. It can call `say(word)`. */
async function started(text, settings = { cli: CLI }) {
  const cwd = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));
  folders.push(cwd);
  const say = 'const say = (word) => console.log(`${process.pid} ${word}`);';
  fs.writeFileSync(path.join(cwd, 'server.js'), `const http = require('http');\n${say}\n${text}`);
  const script = new Script(path.join(cwd, 'server.js'), {
    cwd,
    port: await freePort(),
    ...settings,
  });
  return settings.isAlone ? script : script.ready(1);
}

/** Returns the words that a process has said. */
function wordsOf(script, pid) {
  const said = [...script.output.matchAll(/^(\d+) (\w+)$/gm)];
  return said.filter(([, by]) => Number(by) === pid).map(([, , word]) => word);
}
const untilSaid = (script, pid, word) =>
  script.until(`${pid} says ${word}`, () => wordsOf(script, pid).includes(word));

describe('a script that exits in the callback of server.close() answers each open request', () => {
  for (const [name, way] of Object.entries(WAYS))
    it(name, () => assertAnswersAll('exits-on-close.js', way));
  it('SIGHUP to all workers', () => assertAnswersAll('exits-on-close.js', BY_SIGHUP));
});

describe('the event close in a plain script', () => {
  it('comes once, after the last connection, in a reload, and breaks no request', async () => {
    const script = await new Script('server-pool.js', {
      port: await freePort(),
      cli: ['--workers', '2', '--mon-port', 'off'],
    }).ready();
    const old = script.workers();
    const slow = Array.from({ length: 8 }, () => request(script.port, '/slow'));
    await script.until(
      'requests are there',
      () => script.output.split('got').length - 1 === slow.length,
    );
    const load = new Load(script.port, [{ clients: 4 }, { clients: 4, keepAlive: true }]);
    await script.until('there is load', () => load.counts.ok > 50);
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
    assert.deepStrictEqual(
      (await Promise.all(slow)).map(({ body }) => body),
      Array(slow.length).fill('pool'),
    );
    await load.stop();
    load.assertOnly('ok');
    await script.until('the old workers are gone', () => !old.some(isAlive));
    for (const pid of old) {
      await untilSaid(script, pid, 'exit');
      assert.deepStrictEqual(
        wordsOf(script, pid).filter((word) => word !== 'got'),
        ['close', 'exit'],
      );
    }
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
  });

  it('gives the script time after a signal, before and after it closes', async () => {
    const script = await started(`
      const server = http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
      setInterval(() => {}, 1000);
      process.on('SIGTERM', () => setTimeout(() => {
        if (server.listening) say('listening');
        server.close((error) => setTimeout(() => (say(error ? 'error' : 'done'), process.exit(0)), 700));
      }, 700));`);
    const [first] = script.workers();
    process.kill(first, 'SIGTERM');
    await script.until('it is gone', () =>
      script.errors.includes(`worker ${first} is gone (leave, exit code 0)`),
    );
    assert.deepStrictEqual(wordsOf(script, first), ['listening', 'done']);
  });

  it('ends a script that has removed its handlers and sends itself the signal again', async () => {
    const script = await started(`
      const server = http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
      setInterval(() => {}, 1000);
      const leave = () => server.close(() => setTimeout(() => {
        say('done');
        process.removeListener('SIGTERM', leave);
        process.kill(process.pid, 'SIGTERM');
      }, 700));
      process.on('SIGTERM', leave);`);
    const [first] = script.workers();
    process.kill(first, 'SIGTERM');
    await untilSaid(script, first, 'done');
    await script.until('it is gone', () => !isAlive(first), 1000);
  });

  it('soon ends a script whose only signal handler is of an idle package', async () => {
    const signalExit = JSON.stringify(require.resolve('signal-exit'));
    const script = await started(`
      require(${signalExit}).onExit(() => {});
      http.createServer((request, response) => response.end('hello')).listen(process.env.PORT);
      setInterval(() => {}, 1000);`);
    const [first] = script.workers();
    process.kill(first, 'SIGTERM');
    await script.until('it is gone', () => !isAlive(first), 3000);
  });
});

describe('a server that its script closes without connections, as http-terminator does', () => {
  const CLUSTER = JSON.stringify(path.join(__dirname, '..', '..'));
  const listen = (options) => `
    const server = http.createServer((request, response) => response.end('hello'));
    process.on('SIGTERM', () => setTimeout(() => {
      say(server.listening ? 'listening' : 'closed');
      server.close((error) => (say(error ? 'error' : 'callback'), process.exit()));
    }, 300));
    const cluster = new (require(${CLUSTER}))({ port: process.env.PORT, monPort: false, ...${options} });
    cluster.listen((callback) => callback(server), () => say('listens'));`;

  it('is not closed before, with cluster: false', async () => {
    const script = await started(listen('{ cluster: false }'), { isAlone: true });
    await untilSaid(script, script.pid, 'listens');
    process.kill(script.pid, 'SIGTERM');
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
    assert.deepStrictEqual(wordsOf(script, script.pid), ['listens', 'listening', 'callback']);
  });
});

describe('the event close of an app passed to Cluster#listen', () => {
  const CLUSTER = JSON.stringify(path.join(__dirname, '..', '..'));
  /** A server that logs its events, and answers a request when it is complete. */
  const SERVER = `
    const server = http.createServer((request, response) => {
      say('got');
      request.resume().on('end', () => response.end('whole', () => say('answered')));
    });
    server.on('close', () => say('close'));
    process.on('exit', () => say('exit'));`;
  const LISTEN = `
    const Cluster = require(${CLUSTER});
    const cluster = new Cluster({ port: process.env.PORT, noWorkers: 1, monPort: false, ...JSON.parse(process.env.OPTIONS) });
    cluster.on('listening', (pid) => console.log('event ' + JSON.stringify({ from: process.pid, event: ['listening', pid] })));
    cluster.listen((callback) => callback(server), () => say('listens'));`;

  /**
   * Makes the process leave with an incomplete request, which is completed when the process has
   * said `word`. Returns all words from then on.
   */
  async function saidWhile(leave, word, text, options) {
    const isAlone = options.cluster === false;
    const script = await started(`${SERVER}\n${text}\n${LISTEN}`, { options, isAlone });
    const pid = isAlone ? script.pid : script.workers()[0];
    await untilSaid(script, pid, 'listens');
    const client = new Connection(script.port);
    client.socket.write('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n1');
    await untilSaid(script, pid, 'got');
    leave(script, pid);
    await untilSaid(script, pid, word);
    await client.say('2', 'whole');
    await untilSaid(script, pid, 'exit');
    return wordsOf(script, pid).slice(2);
  }

  const terminate = (_script, pid) => process.kill(pid, 'SIGTERM');
  const shutdown = ({ cwd }) => ask(cwd, 'shutdown');
  const CASES = {
    'in a worker': [terminate, {}],
    'in a cluster that shuts down': [shutdown, {}],
    'with cluster: false': [terminate, { cluster: false }],
  };

  for (const [name, [leave, options]] of Object.entries(CASES)) {
    it(`comes once, at the start, while the server still answers: ${name}`, async () => {
      assert.deepStrictEqual(await saidWhile(leave, 'close', '', options), [
        'close',
        'answered',
        'exit',
      ]);
    });

    it(`goes only to the callback if the app closes its server after that: ${name}`, async () => {
      const text = `server.once('close', () => setImmediate(() => {
        server.close((error) => say(error ? 'error' : 'callback'));
        say('closing');
      }));`;
      const said = await saidWhile(leave, 'closing', text, options);
      assert.deepStrictEqual(said, ['close', 'closing', 'answered', 'callback', 'exit']);
    });
  }

  for (const [name, [leave, options]] of Object.entries(CASES)) {
    if (leave !== terminate) continue;
    it(`is left to Node if the app closes its server on the signal: ${name}`, async () => {
      const text = `process.on('SIGTERM', () => {
        server.close((error) => (say(error ? 'error' : 'callback'), process.exit()));
        say('closing');
      });`;
      const said = await saidWhile(leave, 'closing', text, options);
      assert.deepStrictEqual(said, ['closing', 'answered', 'close', 'callback', 'exit']);
    });
  }
});
