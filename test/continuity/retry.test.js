'use strict';

// The option `retry`: a worker ends by a JavaScript error, or by `process.exit()`. Another one
// answers the requests that it had not begun to answer, on the same connections.

const assert = require('node:assert');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { Connection, request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');

const get = (url, more = '') => `GET ${url} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
const start = async ({ workers = 2, port, options, env } = {}) =>
  new Script('retry.js', {
    port: port ?? (await freePort()),
    options: { retry: true, noWorkers: workers, ...options },
    env,
  }).ready(workers);

/** The ways in which a request of `fixtures/retry.js` ends its worker. */
const ENDS = ['/throw', '/throw-later', '/reject', '/exit', '/exit-later', '/exit-in-handler'];

/** The pids of the workers, one for each begun request whose URL starts with `url`. */
function begun(script, url) {
  const lines = script.output.split('\n').filter((line) => line.startsWith('begun '));
  const all = lines.map((line) => line.split(' '));
  return all.filter((words) => words[3].startsWith(url)).map(([, pid]) => Number(pid));
}

const hasBegun = (script, url, count = 1) =>
  script.until(`${url} has begun`, () => begun(script, url).length >= count);

const isAnswered = ({ received }) => received.includes(' end');

/** Sends `text` on a new connection. Returns it when its request of `url` has begun in a worker. */
async function send(script, text, url) {
  const count = begun(script, url).length;
  const connection = new Connection(script.port);
  connection.socket.write(text);
  await hasBegun(script, url, count + 1);
  return connection;
}

/** Ends the only worker by a request of its own. Returns its pid. */
async function endWorker(script, how = '/throw') {
  const [pid] = script.workers();
  await send(script, get(`${how}?pid=${pid}`), how);
  await script.until('it is gone', () => script.emitted('died').some(([died]) => died === pid));
  return pid;
}

describe('with retry: true', () => {
  for (const how of ENDS) {
    it(`${how}: all others are answered, and it ends two workers`, async () => {
      const script = await start();
      const others = Array.from({ length: 50 }, () => new Connection(script.port));
      for (const { socket } of others) socket.write(get('/slow'));
      await hasBegun(script, '/slow', 50);
      const killer = await send(script, get(how), how);
      await killer.isClosed();
      await script.until('each has an end', () =>
        others.every((other) => other.closed || isAnswered(other)));
      assert.strictEqual(others.filter(isAnswered).length, 50);
      assert.deepStrictEqual([begun(script, how).length, new Set(begun(script, how)).size], [2, 2]);
      await script.until('both ends are reported', () => script.emitted('died').length >= 2);
      assert.strictEqual(script.emitted('died').length, 2);
      for (const { received } of others)
        assert.strictEqual(received.match(/HTTP\/1\.1 200 /g).length, 1);
    });

    it(`${how}: a request that ends one worker only is answered by another one`, async () => {
      const script = await start({ workers: 1 });
      const [pid] = script.workers();
      const url = `${how}?pid=${pid}`;
      const connection = await send(script, get(url), how);
      await connection.hears(' end');
      assert.deepStrictEqual(begun(script, how), [pid, script.workers()[0]]);
      assert.ok(connection.received.includes(`GET ${url} Host|a by ${script.workers()[0]} end`));
      connection.received = '';
      await connection.say(get('/next'), 'GET /next');
    });
  }

  it('repeats a request as it came, even if the app has changed it', async () => {
    const script = await start({ workers: 1 });
    const url = '/changed?a=%20b&c';
    const lines = 'Cookie: a=1\r\nX-Name: caf\xe9\r\nCookie: b=2\r\nContent-Length: 0\r\n';
    for (const method of ['GET', 'HEAD', 'OPTIONS']) {
      const text = `${method} ${url} HTTP/1.1\r\nHost: a\r\n${lines}\r\n`;
      const connection = await send(script, Buffer.from(text, 'latin1'), '/changed');
      const pid = await endWorker(script);
      await connection.hears(method === 'HEAD' ? '\r\n\r\n' : ' end');
      const [first, second] = begun(script, '/changed').slice(-2);
      assert.ok(first === pid && second !== pid);
      const seen = 'Host|a|Cookie|a=1|X-Name|caf\xc3\xa9|Cookie|b=2|Content-Length|0';
      if (method !== 'HEAD')
        assert.ok(connection.received.includes(`${method} ${url} ${seen} by ${second}`));
      await connection.say(get('/next'), 'GET /next');
    }
  });

  it('answers the requests before and after it on its connection, in order', async () => {
    const script = await start({ workers: 1 });
    const connection = new Connection(script.port);
    await connection.say(get('/first'), ' end');
    connection.socket.write(get('/slow?second'));
    await hasBegun(script, '/slow?second');
    await endWorker(script);
    connection.socket.write(get('/third'));
    await connection.hears('GET /third');
    const urls = connection.received.match(/(?<=GET )\/\S+/g);
    assert.deepStrictEqual(urls, ['/first', '/slow?second', '/third']);
  });

  it('answers HTTP/1.0, and closes as its answer says', async () => {
    const script = await start({ workers: 1 });
    const connection = await send(script, 'GET /slow HTTP/1.0\r\n\r\n', '/slow');
    await endWorker(script);
    await connection.hears(' end');
    await connection.isClosed();
    assert.match(connection.received, /Connection: close/);
  });

  it('gives each request its own answer while workers end again and again', async () => {
    const script = await start({ workers: 3 });
    let isOver = false;
    let asked = 0;
    const ask = async () => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      while (!isOver) {
        const url = `/${(asked += 1) % 2 ? 'soon' : 'now'}?${asked}`;
        const { body } = await request(script.port, url, { agent });
        assert.ok(body.startsWith(`GET ${url} `), `${url}: ${body}`);
      }
      agent.destroy();
    };
    const clients = Array.from({ length: 24 }, ask);
    const ending = async () => {
      for (const how of ENDS) {
        const ready = script.emitted('listening').length;
        await send(script, get(how), how);
        const all = () => script.emitted('listening').length === ready + 2;
        await script.until('two have been replaced', all);
      }
      isOver = true;
    };
    await Promise.all([...clients, ending()]);
    assert.ok(asked > 500, `${asked} requests`);
  }).timeout(60_000);

  it('repeats no other requests, and ends their connections', async () => {
    const post = (more, body = '') => `POST /never HTTP/1.1\r\nHost: a\r\n${more}\r\n${body}`;
    const texts = {
      'another method': post('Content-Length: 0\r\n'),
      'a body': get('/never', 'Content-Length: 2\r\n').concat('ab'),
      'a body in chunks': get('/never', 'Transfer-Encoding: chunked\r\n').concat('0\r\n\r\n'),
      'half of a body': get('/never', 'Content-Length: 2\r\n').concat('a'),
      'an expectation': get('/never', 'Expect: 100-continue\r\n'),
      'a begun answer': get('/begun'),
      'a head that is ready': get('/head'),
      'a provisional answer': get('/early'),
      'a second request': get('/never').concat(get('/never')),
      'the beginning of a second request': get('/never').concat('GET / HTT'),
      'more than a frame holds': get('/never', `X: ${'x'.repeat(16_340)}\r\n`),
    };
    const script = await start({ workers: 1, options: { execArgv: ['--max-http-header-size=65536'] } });
    const all = [];
    for (const text of Object.values(texts))
      all.push(await send(script, text, text.match(/\/\w+/)[0]));
    const count = begun(script, '/').length;
    await endWorker(script);
    for (const connection of all) await connection.isClosed();
    // The request that ended the worker has begun there, and in the next one.
    await hasBegun(script, '/throw', 2);
    assert.strictEqual(begun(script, '/').length, count + 2);
  });

  it('does not repeat what a client sent right behind the request that throws', async () => {
    const script = await start({ workers: 1 });
    const [pid] = script.workers();
    const connection = new Connection(script.port);
    connection.socket.write(get(`/throw?pid=${pid}`).concat(get('/next')));
    await connection.isClosed();
    assert.deepStrictEqual(begun(script, '/'), [pid]);
  });

  it('if the request that ended a worker is unknown, each goes to one more worker', async () => {
    const script = await start({ workers: 1 });
    const connection = await send(script, get('/never'), '/never');
    for (let end = 1; end <= 2; end += 1) {
      process.kill(script.workers()[0], 'SIGUSR2');
      await script.until('it is gone', () => script.emitted('died').length === end);
      if (end === 1) await hasBegun(script, '/never', 2);
    }
    await connection.isClosed();
    assert.strictEqual(begun(script, '/never').length, 2);
  });

  it('a client that leaves meanwhile is noticed', async () => {
    const script = await start({ workers: 1 });
    const connection = await send(script, get('/never'), '/never');
    const [pid] = script.workers();
    await send(script, get(`/throw?pid=${pid}`), '/throw');
    connection.socket.destroy();
    await script.until('a worker notices', () => script.output.match(/^aborted \d+ \/never$/m));
    await script.until('it is not active any more', async () =>
      (await script.status()).workers[0].requests.active === 0);
  });

  it('counts and reports them, without queries', async () => {
    const monPort = await freePort();
    const script = await start({ workers: 1, options: { monPort } });
    for (const url of ['/slow?secret', '/slow?secret', '/never?secret#secret'])
      await send(script, get(url), url.split('?')[0]);
    const pid = await endWorker(script);
    await script.until('it is reported', () => script.emitted('warning').length > 0);
    const [[{ message }]] = script.emitted('warning');
    const names = 'GET /slow (2), GET /never, GET /throw';
    const what = `worker ${pid} ended before it answered 4 requests`;
    assert.strictEqual(message, `${what}; other workers answer instead (option retry): ${names}`);
    const { totals } = await script.status();
    assert.strictEqual(totals.retried, 4);
    const { body } = await request(monPort, '/metrics');
    assert.match(body, /^cluster2_requests_retried_total 4\.0$/m);
  });

  it('goes on counting requests for maxRequestsPerSocket', async () => {
    const script = await start({ workers: 1, env: { MAX_REQUESTS: '3' } });
    const connection = new Connection(script.port);
    await connection.say(get('/first'), ' end');
    connection.socket.write(get('/slow'));
    await hasBegun(script, '/slow');
    await endWorker(script);
    await connection.hears('GET /slow');
    connection.socket.write(get('/third'));
    await connection.hears('GET /third');
    assert.match(connection.received, /Connection: close\r\n[^]*GET \/third/);
    assert.strictEqual(connection.received.match(/Connection: close/g).length, 1);
  });

  for (const balance of ['round-robin', 'ip-hash', 'kernel']) {
    it(`works with balance: '${balance}'`, async () => {
      const script = await start({ options: { balance } });
      const connection = await send(script, get('/slow'), '/slow');
      const [pid] = begun(script, '/slow');
      await send(script, get('/never'), '/never');
      process.kill(pid, 'SIGUSR2');
      await connection.hears(' end');
      assert.ok(!connection.received.includes(` ${pid} end`));
    });
  }

  it('works for a plain script, by the flag --retry', async () => {
    const port = await freePort();
    const cli = ['--retry', '--workers', '1', '--port', String(port), '--mon-port', 'off'];
    const script = await new Script('retry.js', { port, cli, env: { PLAIN: 'yes' } }).ready(1);
    const connection = await send(script, get('/slow'), '/slow');
    await send(script, get('/throw'), '/throw');
    await connection.hears(' end');
    const [first, last] = [begun(script, '/slow')[0], begun(script, '/slow').at(-1)];
    assert.ok(first !== last && connection.received.includes(` by ${last} end`));
  });

  it('works on a unix socket', async () => {
    const folder = fs.mkdtempSync('/tmp/cluster2-retry-');
    try {
      const script = await start({ workers: 1, port: path.join(folder, 'socket') });
      const connection = await send(script, get('/slow'), '/slow');
      await endWorker(script);
      await connection.hears(' end');
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });

  it('repeats nothing after a drain that has answered all', async () => {
    const script = await start({ workers: 1 });
    const connection = await send(script, get('/slow'), '/slow');
    process.kill(script.workers()[0], 'SIGTERM');
    await connection.hears(' end');
    await script.until('it is replaced', () => script.emitted('died').length === 1);
    assert.strictEqual(begun(script, '/slow').length, 1);
    assert.strictEqual((await script.status()).totals.retried, 0);
  });
});

describe('without retry', () => {
  for (const options of [{ retry: false }, { moveIdle: false }]) {
    it(`no request is repeated (${JSON.stringify(options)})`, async () => {
      const script = await start({ workers: 1, options });
      const connection = await send(script, get('/slow'), '/slow');
      await endWorker(script);
      await connection.isClosed();
      assert.strictEqual(begun(script, '/slow').length, 1);
      assert.strictEqual((await script.status()).totals.retried, 0);
    });
  }
});
