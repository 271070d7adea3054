'use strict';

// Scripts under `cluster2 start`: what they may be and do.

const assert = require('node:assert');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { cluster2, statusOf } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { Load } = require('../helpers/load');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');


describe('a script under cluster2 start', () => {
  const started = async (text, { flags = [], name = 'server.js', ...settings } = {}) => {
    const cwd = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));
    fs.writeFileSync(path.join(cwd, name), text);
    const port = await freePort();
    const script = new Script(path.join(cwd, name), {
      port,
      cwd,
      cli: ['--workers', '1', '--mon-port', 'off', ...flags],
      ...settings,
    });
    folders.push(cwd);
    return script;
  };
  const folders = [];
  afterEach(() =>
    folders.splice(0).forEach((folder) => fs.rmSync(folder, { recursive: true, force: true })),
  );

  it('may be an ES module', async () => {
    const text =
      "import { createServer } from 'node:http';\nawait null;\ncreateServer((q, a) => a.end('esm')).listen(process.env.PORT);";
    const script = await (await started(text, { name: 'server.mjs' })).ready(1);
    assert.strictEqual((await request(script.port, '/')).body, 'esm');
  });

  it('gets its arguments, Node’s flags, variables, --port, and only its slot from us', async () => {
    const text = `const seen = { args: process.argv.slice(2), flags: process.execArgv, mine: process.env.MINE, cwd: process.cwd(),
      ours: Object.keys(process.env).filter((name) => /CLUSTER2|NODE_UNIQUE|NODE_CHANNEL/.test(name)) };
      require('http').createServer((q, a) => a.end(JSON.stringify(seen))).listen(process.env.PORT);`;
    const port = await freePort();
    const flags = [
      '--port',
      String(port),
      '--exec-argv=--stack-size=900',
      '--env',
      'MINE=a=b',
      '--cwd',
      '/',
    ];
    const script = await started(text, {
      flags,
      args: ['--one', 'two words'],
      env: { CLUSTER2_SHUTDOWN_TIMEOUT: '900' },
    });
    await script.ready(1);
    assert.deepStrictEqual(JSON.parse((await request(port, '/')).body), {
      ...{
        args: ['--one', 'two words'],
        flags: ['--stack-size=900'],
        mine: 'a=b',
        cwd: '/',
        ours: ['CLUSTER2_SLOT'],
      },
    });
  });

  it('may listen on --port with a host of its own, which then applies', async () => {
    for (const host of ["'127.0.0.1'", "'::'", 'undefined']) {
      const port = await freePort();
      const text = `require('http').createServer((q, a) => a.end('here')).listen(process.env.PORT, ${host});`;
      const script = await (await started(text, { flags: ['--port', String(port)] })).ready(1);
      assert.strictEqual((await request(port, '/')).body, 'here');
      assert.strictEqual(statusOf(script.cwd).master.listening.length, 1);
    }
  });

  it('listens on --host even if it asks for all addresses; early clients wait', async () => {
    for (const host of ["'0.0.0.0'", 'undefined', "'127.0.0.1'"]) {
      const port = await freePort();
      const text = `setTimeout(() => require('http').createServer((q, a) => a.end('here')).listen(process.env.PORT, ${host}), 300);`;
      const flags = host === "'127.0.0.1'" ? [] : ['--host', '127.0.0.1'];
      const script = await started(text, { flags: ['--port', String(port), ...flags] });
      await script.until('the port is bound', () => script.errors.includes('1 worker of'));
      const early = request(port, '/');
      await script.ready(1);
      assert.strictEqual((await early).body, 'here');
      assert.deepStrictEqual(statusOf(script.cwd).master.listening, [`127.0.0.1:${port}`]);
    }
  });

  it('may listen on another port first: a reload waits for all ports', async () => {
    const other = await freePort();
    const text = `const make = (text) => require('http').createServer((q, a) => a.end(text));
      make('other').listen(${other}); setTimeout(() => make('main').listen(process.env.PORT), 400);`;
    const port = await freePort();
    const script = await (await started(text, { flags: ['--port', String(port)] })).ready(1);
    await until('both are shown', () => statusOf(script.cwd).master.listening.length === 2);
    const load = new Load(port, [{ clients: 4 }]);
    assert.strictEqual(cluster2(script.cwd, 'reload').status, 0);
    await load.stop();
    load.assertOnly('ok');
  });

  it('may close a server before it listens, and listen elsewhere', async () => {
    const other = await freePort();
    const text = `const server = require('http').createServer((q, a) => a.end('here'));
      server.listen(${other}); server.close(); server.listen(process.env.PORT);`;
    const script = await (await started(text)).ready(1);
    assert.strictEqual((await request(script.port, '/')).body, 'here');
  });

  it('may listen on several ports, also later', async () => {
    const [second, third] = [await freePort(), await freePort()];
    const text = `const make = (name) => require('http').createServer((q, a) => a.end(name));
      make('one').listen(process.env.PORT); make('two').listen(${second}, () => make('three').listen(${third}));`;
    const script = await (await started(text)).ready(1);
    const answers = () =>
      Promise.all(
        [script.port, second, third].map(
          async (port) => (await request(port, '/').catch(() => ({}))).body,
        ),
      );
    await until('all three answer', async () => (await answers()).join() === 'one,two,three');
  });

  it('may use a Cluster, whose options then apply', async () => {
    const text = `const Cluster = require(${JSON.stringify(path.join(__dirname, '..', '..'))});
      new Cluster({ port: process.env.PORT, ecv: { path: '/mine' } }).listen((cb) => cb((q, a) => a.end('app')));`;
    const script = await (await started(text)).ready(1);
    assert.match((await request(script.port, '/mine')).body, /^status=AVAILABLE/);
    assert.strictEqual((await request(script.port, '/ecv')).body, 'app');
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
    assert.strictEqual(script.errors.match(/shutting down/g).length, 1);
  });

  it('has an idle time-out', async () => {
    const text =
      "require('http').createServer((q, a) => q.url === '/' && a.end('x')).listen(process.env.PORT)";
    const script = await (await started(text, { flags: ['--timeout', '100'] })).ready(1);
    await assert.rejects(new Promise((resolve, reject) => {
      http.get({ port: script.port, path: '/never', agent: false }, resolve).on('error', reject);
    }), /socket hang up|ECONNRESET/);
  });

  it('gets listen errors as in plain Node; they are the reason of the failed start', async () => {
    const holder = http.createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const text = `require('http').createServer().listen(${holder.address().port}, '127.0.0.1');`;
    const script = await started(text);
    assert.deepStrictEqual(await script.ended(), { code: 255, signal: null });
    assert.match(
      script.errors,
      /no worker became ready: .*EADDRINUSE.*\(CLUSTER2_ERR_START_FAILED\)\n$/s,
    );
    await new Promise((resolve) => holder.close(resolve));
  });

  it('is not ready before it listens; after startTimeout the start fails', async () => {
    const script = await started('setInterval(() => {}, 1000)', {
      flags: ['--start-timeout', '300'],
    });
    assert.deepStrictEqual(await script.ended(), { code: 255, signal: null });
    assert.match(script.errors, /300 ms/);
  });
});
