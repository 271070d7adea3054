'use strict';

// Where an app can listen: one or several ports, addresses, unix sockets.

const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { Connection, answersOfAll, request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');

const CLEAN = { code: 0, signal: null };
const start = (options, env) => new Script('ports.js', { options, env }).ready();
const at = (host, family) => ({ host, family });

/** Waits until both workers have answered. Returns the answers without their pids. */
async function bothAnswer(script, port, to = {}) {
  const answers = await answersOfAll(script.workers(), async () =>
    JSON.parse((await request(port, '/', to)).body),
  );
  const [{ pid: _pid, ...said }, ...others] = answers;
  for (const other of others) assert.deepStrictEqual(other, { ...said, pid: other.pid });
  return said;
}

const refused = (port, to) => assert.rejects(request(port, '/', to), { code: 'ECONNREFUSED' });

/** Returns `server.address()` of the workers, and checks that it is the same. */
async function addresses(script) {
  await script.until(
    'both workers say where they listen',
    () => script.emitted('message').length === 2,
  );
  const [[, first], [, second]] = script.emitted('message');
  assert.deepStrictEqual(first, second);
  return first;
}

async function shutDown(script) {
  script.kill();
  assert.deepStrictEqual(await script.ended(), CLEAN, script.errors);
  assert.strictEqual(script.errors, '');
}

describe('ports', () => {
  it('several ports, even one given as a string of digits, lead to the same app', async () => {
    const ports = [await freePort(), await freePort(), await freePort()];
    const script = await start({ port: [ports[0], String(ports[1]), ports[2]] });
    for (const port of ports) {
      assert.deepStrictEqual(await bothAnswer(script, port), {
        name: 'the app',
        port,
        from: 'IPv4',
      });
    }
    await shutDown(script);
    for (const port of ports) await refused(port);
  });

  it('an array of { app, port } serves each app on its port; the option is unused', async () => {
    const [first, second, unused] = [await freePort(), await freePort(), await freePort()];
    const script = await start(
      { port: unused },
      { APPS: JSON.stringify([first, second, './third.sock']) },
    );
    assert.strictEqual((await bothAnswer(script, first)).name, 'app 0');
    assert.strictEqual((await bothAnswer(script, second)).name, 'app 1');
    assert.strictEqual(
      (await bothAnswer(script, path.join(script.cwd, 'third.sock'))).name,
      'app 2',
    );
    await refused(unused);
    await shutDown(script);
    assert.ok(!fs.existsSync(path.join(script.cwd, 'third.sock')));
  });

  it('the port of { app, port } may be a string of digits or a list, as the option', async () => {
    const [first, second, third] = [await freePort(), await freePort(), await freePort()];
    const script = await start(
      {},
      { APPS: JSON.stringify([String(first), [second, String(third)]]) },
    );
    assert.strictEqual((await bothAnswer(script, first)).name, 'app 0');
    for (const port of [second, third])
      assert.strictEqual((await bothAnswer(script, port)).name, 'app 1');
    assert.ok(!fs.existsSync(path.join(script.cwd, String(first))), 'no file of that name');
    await shutDown(script);
  });

  it('may be a thousand', async () => {
    const script = await start({}, { APPS: JSON.stringify(Array(1000).fill(0)) });
    const ports = (await addresses(script)).map(({ port }) => port);
    assert.strictEqual(new Set(ports).size, 1000);
    for (const index of [0, 999])
      assert.strictEqual((await bothAnswer(script, ports[index])).name, `app ${index}`);
    await shutDown(script);
  });

  it('an array of { app, port } may be passed later, which closes the option `port`', async () => {
    const [port, unused] = [await freePort(), await freePort()];
    const script = await start({ port: unused }, { APPS: JSON.stringify([port]), LATER: 'yes' });
    assert.strictEqual((await bothAnswer(script, port)).name, 'app 0');
    await refused(unused);
  });

  it('port 0 is one free port in all workers, even in later ones', async () => {
    const script = await start({ port: 0 });
    const [{ port, address, family }] = await addresses(script);
    assert.deepStrictEqual({ address, family }, { address: '0.0.0.0', family: 'IPv4' });
    assert.strictEqual((await bothAnswer(script, port)).port, port);
    process.kill(script.workers()[0], 'SIGKILL');
    await script.ready(3);
    await script.until(
      'the new worker says where it listens',
      () => script.emitted('message').length === 3,
    );
    assert.strictEqual(script.emitted('message')[2][1][0].port, port);
    assert.strictEqual((await bothAnswer(script, port)).port, port);
  });

  it('two ports 0 are two different ports', async () => {
    const script = await start({}, { APPS: '[0, 0]' });
    const [first, second] = (await addresses(script)).map(({ port }) => port);
    assert.notStrictEqual(first, second);
    assert.strictEqual((await bothAnswer(script, first)).name, 'app 0');
    assert.strictEqual((await bothAnswer(script, second)).name, 'app 1');
  });
});

describe('the option host', () => {
  it('is all IPv4 addresses by default', async () => {
    const script = await start({ port: await freePort() });
    const [{ port, address }] = await addresses(script);
    assert.strictEqual(address, '0.0.0.0');
    assert.strictEqual((await bothAnswer(script, port, at('127.0.0.2'))).from, 'IPv4');
  });

  it('may be one IPv4 address; others do not answer', async () => {
    const script = await start({ port: await freePort(), host: '127.0.0.1' });
    const [{ port, address }] = await addresses(script);
    assert.strictEqual(address, '127.0.0.1');
    await bothAnswer(script, port);
    await refused(port, at('127.0.0.2'));
  });

  it('may be a name', async () => {
    const script = await start({ port: await freePort(), host: 'localhost' });
    const [{ port, address }] = await addresses(script);
    assert.ok(['127.0.0.1', '::1'].includes(address), address);
    await bothAnswer(script, port, at(address));
  });

  it("may be an IPv6 address: '::1', or '::' which takes IPv4 too", async function () {
    if (!(await hasIpv6())) this.skip();
    const narrow = await start({ port: await freePort(), host: '::1' });
    const [{ port, address, family }] = await addresses(narrow);
    assert.deepStrictEqual({ address, family }, { address: '::1', family: 'IPv6' });
    assert.strictEqual((await bothAnswer(narrow, port, at('::1'))).from, 'IPv6');
    await refused(port);
    const wide = await start({ port: await freePort(), host: '::' });
    const [{ port: other }] = await addresses(wide);
    await bothAnswer(wide, other, at('::1'));
    await bothAnswer(wide, other);
  });
});

async function hasIpv6() {
  const server = net.createServer();
  const works = await new Promise((resolve) => {
    server.once('error', () => resolve(false)).listen(0, '::1', () => resolve(true));
  });
  server.close();
  return works;
}

describe('a unix socket', () => {
  it('is served by all workers, at a relative path; a shutdown removes its file', async () => {
    const script = await start({ port: 'app.sock' });
    const file = path.join(script.cwd, 'app.sock');
    assert.deepStrictEqual(await addresses(script), [file]);
    assert.strictEqual((await bothAnswer(script, file)).name, 'the app');
    await shutDown(script);
    assert.ok(!fs.existsSync(file));
  });

  it('answers requests in flight after a shutdown has removed its file', async () => {
    const script = await start({ port: ['app.sock', await freePort()] });
    const client = new Connection(path.join(script.cwd, 'app.sock'));
    await client.say('GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHo', '"the app"');
    script.kill();
    await script.until('the file is gone', () => !fs.existsSync(path.join(script.cwd, 'app.sock')));
    client.received = '';
    await client.say('st: localhost\r\n\r\n', '"the app"');
    assert.deepStrictEqual(await script.ended(), CLEAN);
  });

  it('that a killed master left behind is taken over', async () => {
    const killed = await start({ port: 'app.sock' });
    const file = path.join(killed.cwd, 'app.sock');
    killed.kill('SIGKILL');
    await killed.ended();
    assert.ok(fs.existsSync(file));
    const script = await new Script('ports.js', { options: { port: file } }).ready();
    await bothAnswer(script, file);
  });

  it('on which another process listens is left alone: the start fails with 255', async () => {
    const owner = await start({ port: 'app.sock' });
    const file = path.join(owner.cwd, 'app.sock');
    const late = new Script('ports.js', { options: { port: file } });
    assert.deepStrictEqual(await late.ended(), { code: 255, signal: null });
    assert.strictEqual(
      late.untimed,
      `cluster2: address ${file} is already in use (CLUSTER2_ERR_PORT_IN_USE)\n`,
    );
    await bothAnswer(owner, file);
  });
});
