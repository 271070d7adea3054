'use strict';

// Ports that no worker serves any more: a closed one is free at once, and one whose last worker
// leaves closes gracefully.

const assert = require('node:assert');
const Cluster = require('../..');
const { Connection, request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');

const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
const isRefused = (port) => request(port).then(() => false, ({ code }) => code === 'ECONNREFUSED');

describe('a port that a worker opens and closes while another one is starting', () => {
  for (const [where, settings] of Object.entries({
    'under the command line': { cli: ['--workers', '2', '--mon-port', 'off'] },
    'in a Cluster': { env: { API: 'yes' } },
  })) {
    it(`is free at once, ${where}`, async () => {
      const script = new Script('transient-ports.js', { port: await freePort(), ...settings });
      await script.ready();
      const events = script
        .events({ allProcesses: true })
        .filter(([name]) => /^(a|this) /.test(name));
      assert.deepStrictEqual(events, [
        ['a child', 'listens'],
        ['this process alone', 'listens'],
        ['a client that came before', 'is gone'],
        ['a client that comes after', 'ECONNREFUSED'],
      ]);
      assert.strictEqual((await request(script.port)).body, 'here');
    });
  }
});

describe('a port that only a leaving worker serves', () => {
  it('accepts no connection; each existing one gets one more response, as the last', async () => {
    const port = await freePort();
    const script = await new Script('further-servers.js', { port: await freePort() }).ready();
    const cluster = new Cluster({ pids: script.pids });
    const [, leaving] = script.workers();
    await cluster.send(leaving, [['listen', 'extra', { port }]]);
    await script.until('it listens', () =>
      script.emitted('message').some(([, { event }]) => event === 'listening'),
    );
    const busy = new Connection(port);
    const idle = new Connection(port);
    for (const client of [busy, idle]) await client.say(REQUEST, '"extra"');
    assert.ok(!busy.received.includes('close'));
    const scaled = cluster.scale(1);
    await until('an answer says that it is the last', async () => {
      busy.received = '';
      await busy.say(REQUEST, '"extra"');
      return /\r\nConnection: close\r\n/.test(busy.received);
    });
    await scaled;
    assert.ok(await isRefused(port));
    for (const client of [busy, idle]) {
      await client.isClosed();
      assert.strictEqual(client.error, undefined);
    }
    await script.until('it is gone', () => script.emitted('died').length === 1);
    assert.deepStrictEqual(script.emitted('warning'), []);
    assert.strictEqual((await request(script.port)).status, 200);
  });
});
