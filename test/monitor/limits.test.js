'use strict';

// Malicious clients of the monitor: the app's clients do not notice, the monitor works again
// afterwards, and no private data is shown.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const { randomBytes } = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { Connection, request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { attempt } = require('../helpers/load');
const { freePort } = require('../helpers/ports');
const { every, until } = require('../helpers/wait');

/** Longer than the monitor waits for a request's head, or for a client that does not read: 10 s. */
const CUT_WITHIN = 20_000;
const MANY = 3000;
/** Shorter than the monitor waits for silent clients, in milliseconds. */
const PROMPT = 4000;
/** The number of connections that the monitor accepts at a time. */
const CONNECTIONS = 128;
const SECRET = 'hush-hush';

async function begin({ options = {}, env } = {}) {
  const monPort = await freePort();
  const script = await new Script('http.js', {
    port: await freePort(),
    options: { monPort, ...options },
    env,
  }).ready();
  fs.mkdirSync(path.join(script.cwd, 'logs'), { recursive: true });
  fs.writeFileSync(path.join(script.cwd, 'logs', 'app.log'), 'a line\n');
  return { script, monPort };
}

/**
 * Returns the time within which 99 of 100 requests to the app were answered, in milliseconds. All
 * of them must be answered.
 */
async function p99(port) {
  const times = [];
  const client = async (agent) => {
    for (let count = 0; count < 150; count += 1) {
      const begun = performance.now();
      const { outcome, error } = await attempt({ port, agent });
      assert.strictEqual(outcome, 'ok', error?.message);
      times.push(performance.now() - begun);
    }
    if (agent) agent.destroy();
  };
  const keepAlive = () => new http.Agent({ keepAlive: true, maxSockets: 1 });
  await Promise.all([client(keepAlive()), client(keepAlive()), client(false), client(false)]);
  return times.sort((one, other) => one - other)[Math.floor(times.length * 0.99)];
}

const descriptors = (pid) => fs.readdirSync(`/proc/${pid}/fd`).length;
const connect = (port, count) => Array.from({ length: count }, () => new Connection(port));
const destroy = (connections) => connections.forEach(({ socket }) => socket.destroy());

/**
 * Sends the text again and again, each time on a new connection, until `end()`, which returns the
 * answers.
 */
function repeat(port, clients, message) {
  const answers = [];
  let stopped = false;
  const client = async () => {
    while (!stopped) {
      const connection = new Connection(port);
      connection.socket.write(message());
      await until(
        'it is answered or cut',
        () => connection.closed || connection.received.includes('\r\n\r\n'),
      );
      connection.socket.destroy();
      answers.push(connection.received.split('\r\n')[0]);
    }
  };
  const running = Promise.all(Array.from({ length: clients }, client));
  return async function end() {
    stopped = true;
    await running;
    return answers;
  };
}

/** Checks all answers. One may be lost if the monitor closes before it has read everything. */
function assertRefused(answers, status) {
  assert.ok(answers.some((line) => line.includes(status)), `${status} among ${answers.length}`);
  assert.deepStrictEqual(answers.filter((line) => line && !line.includes(status)), []);
}

// Each function starts an attack, and returns a function that ends it.
const ATTACKS = {
  'random bytes': async (port) => {
    // Made before, so that making them does not delay the app's clients.
    const noise = Array.from({ length: 100 }, () => randomBytes(64 * 1024));
    let turn = 0;
    const end = repeat(port, 20, () => noise[(turn += 1) % noise.length]);
    return async () => assertRefused(await end(), ' 400 ');
  },
  'headers that are too large': async (port) => {
    const end = repeat(
      port,
      20,
      () => `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(32 * 1024)}\r\n\r\n`,
    );
    return async () => assertRefused(await end(), ' 431 ');
  },
  'requests that come a letter at a time': async (port) => {
    const slow = connect(port, 100);
    const letter = () => slow.forEach(({ socket }) => socket.writable && socket.write('x'));
    slow.forEach(({ socket }) => socket.write('GET / HTTP/1.1\r\nX-Slow: '));
    const stop = every(100, letter);
    return async () => {
      const areClosed = () => slow.every(({ closed }) => closed);
      await until('they are cut', areClosed, CUT_WITHIN).finally(stop);
    };
  },
  'readers that do not read': async (port, script) => {
    fs.writeFileSync(path.join(script.cwd, 'logs', 'big.log'), Buffer.alloc(32 << 20, 'a line\n'));
    const before = descriptors(script.pid);
    const readers = connect(port, 60);
    for (const { socket } of readers)
      socket.pause().write('GET /logs/big.log HTTP/1.1\r\nHost: localhost\r\n\r\n');
    // One connection and one file each.
    await until(
      'all are being served',
      () => descriptors(script.pid) >= before + 2 * readers.length,
    );
    return async () => {
      await until('they are cut', () => descriptors(script.pid) <= before, CUT_WITHIN);
      destroy(readers);
    };
  },
  'idle connections by the thousand': async (port, script) => {
    const limit = Number(
      fs.readFileSync('/proc/self/limits', 'utf8').match(/Max open files +(\d+)/)[1],
    );
    const before = descriptors(script.pid);
    const idle = connect(port, Math.min(MANY, limit - 200));
    await until(
      'the monitor has as many as it takes',
      () => descriptors(script.pid) >= before + CONNECTIONS,
    );
    const begun = performance.now();
    assert.strictEqual((await request(port, '/status.json')).status, 200);
    assert.ok(
      performance.now() - begun < PROMPT,
      'a client that asks does not wait for silent ones',
    );
    return async () => {
      assert.ok(descriptors(script.pid) <= before + CONNECTIONS + 10, 'it takes no more');
      destroy(idle);
    };
  },
};

describe('malicious clients of the monitor', function () {
  this.timeout(60_000);

  for (const [name, attack] of Object.entries(ATTACKS)) {
    it(`do not slow down the app, and the monitor works again afterwards: ${name}`, async () => {
      const { script, monPort } = await begin();
      const quiet = await p99(script.port);
      const end = await attack(monPort, script);
      const loud = await p99(script.port).finally(end);
      assert.ok(loud < 10 * quiet + 100, `${loud} ms, without it ${quiet} ms`);
      await until(
        'the monitor answers',
        async () => (await attempt({ port: monPort })).outcome === 'ok',
      );
      assert.deepStrictEqual(script.emitted('died'), []);
      assert.strictEqual(script.errors, '');
    });
  }

  it('see no file outside of the logs directory, and no special file', async () => {
    const { script, monPort } = await begin();
    const logs = path.join(script.cwd, 'logs');
    fs.writeFileSync(path.join(script.cwd, 'secret.txt'), SECRET);
    fs.symlinkSync('../secret.txt', path.join(logs, 'link.log'));
    fs.symlinkSync('..', path.join(logs, 'up'));
    fs.symlinkSync('/dev/zero', path.join(logs, 'zero.log'));
    execFileSync('mkfifo', [path.join(logs, 'pipe.log')]);
    assert.strictEqual((await request(monPort, '/logs/app.log')).body, 'a line\n');
    const names = [
      ...[
        '../secret.txt',
        '%2e%2e/secret.txt',
        '%2e%2e%2fsecret.txt',
        '..%5csecret.txt',
        'app.log/../../secret.txt',
        './../secret.txt',
      ],
      ...[
        path.join(script.cwd, 'secret.txt'),
        `/${script.cwd}/secret.txt`,
        encodeURIComponent(path.join(script.cwd, 'secret.txt')),
      ],
      ...[
        'link.log',
        'up/secret.txt',
        'up',
        'zero.log',
        'pipe.log',
        '.',
        '..',
        '%00',
        'app.log%00',
        'app.log%00.txt',
        '%',
        'none.log',
      ],
      ...[
        '/etc/passwd',
        '%2fetc%2fpasswd',
        '../../../../../../../../etc/passwd',
        '%252e%252e/secret.txt',
        '%c0%ae%c0%ae/secret.txt',
      ],
    ];
    for (const name of names) {
      for (const query of ['', '?tail=5', '?tail=5&follow=1']) {
        const { status, body } = await request(monPort, `/logs/${name}${query}`);
        assert.ok(status >= 400 && status < 500, `${name}${query}: ${status}`);
        assert.ok(!body.includes(SECRET) && !body.includes('root:'), name);
      }
    }
    const raw = new Connection(monPort);
    await raw.say('GET /logs/app.log\0 HTTP/1.1\r\nHost: localhost\r\n\r\n', 'HTTP/1.1 400 ');
    raw.socket.destroy();
    const { body } = await request(monPort, '/logs', { headers: { accept: 'application/json' } });
    assert.deepStrictEqual(JSON.parse(body).map((log) => log.name), ['app.log']);
  });

  it('see nothing from a page that reaches this machine by DNS rebinding', async () => {
    const { script, monPort } = await begin({ options: { ecv: { control: true } } });
    const as = (host, target, options) =>
      request(monPort, target, { ...options, headers: { host } });
    for (const target of [
      '/',
      '/status.json',
      '/live',
      '/metrics',
      '/logs',
      '/logs/app.log',
      '/deps',
      '/script.js',
    ]) {
      for (const host of [
        'evil.example',
        `evil.example:${monPort}`,
        '127.0.0.1.evil.example',
        '10.0.0.1',
      ]) {
        assert.strictEqual((await as(host, target)).status, 421, `${host}${target}`);
      }
    }
    for (const host of [`127.0.0.1:${monPort}`, `localhost:${monPort}`, '[::1]'])
      assert.strictEqual((await as(host, '/')).status, 200);
    assert.strictEqual((await as('evil.example', '/ecv/disable', { method: 'POST' })).status, 403);
    assert.match((await request(script.port, '/ecv')).body, /^status=AVAILABLE/);
  });

  it('see no secret: no environment variables and no token', async () => {
    const env = { SOME_PASSWORD: SECRET };
    const { monPort } = await begin({
      env,
      options: { ecv: { control: true, token: `${SECRET}-token` }, env: { OTHER: SECRET } },
    });
    for (const target of [
      '/',
      '/status.json',
      '/metrics',
      '/logs',
      '/deps.json',
      '/ecv',
      '/none',
    ]) {
      assert.ok(!(await request(monPort, target)).body.includes(SECRET), target);
    }
  });
});
