'use strict';

// The main purpose, end to end: one script, two workers, one port.

const assert = require('node:assert');
const http = require('node:http');
const Cluster = require('../..');
const { Script } = require('../helpers/cluster');
const { VERSION } = require('../helpers/node');
const { freePort } = require('../helpers/ports');

const get = (port, path) =>
  new Promise((resolve, reject) => {
    http.get({ port, path, agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk) => (body += chunk)).on('end', () => resolve(body));
    }).on('error', reject);
  });

describe('a cluster', () => {
  it('answers with all of its workers, and exits with 0', async () => {
    const script = await new Script('http.js', { port: await freePort() }).ready();
    const pids = new Set();
    for (let i = 0; i < 8; i++) pids.add(Number(await get(script.port, '/pid')));
    assert.deepStrictEqual([...pids].sort(), script.workers().sort());
    script.kill('SIGTERM');
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    assert.strictEqual(script.emitted('died').length, 2);
  });

  it(`runs master and workers on Node ${VERSION}`, async () => {
    const script = await new Script('http.js', { port: await freePort() }).ready();
    const { master, workers } = await new Cluster({ pids: script.pids }).status();
    assert.strictEqual(master.node, VERSION);
    const seen = new Map();
    for (let i = 0; i < 8; i++) {
      const [pid, version] = (await get(script.port, '/node')).split(' ');
      seen.set(Number(pid), version);
    }
    assert.deepStrictEqual([...seen.keys()].sort(), workers.map(({ pid }) => pid).sort());
    assert.deepStrictEqual([...seen.values()], [VERSION, VERSION]);
  });
});
