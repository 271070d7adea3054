'use strict';

// The user's own monitor app: it gets requests on the monitor's port before the built-in pages.

const assert = require('node:assert');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');

async function serve(KIND, options = {}) {
  const monPort = await freePort();
  const script = new Script('monitor-app.js', {
    port: await freePort(),
    options: { monPort, ...options },
    env: { KIND },
  });
  script.monPort = monPort;
  return script;
}

describe('a monitor app', () => {
  for (const kind of ['function', 'server', 'express']) {
    it(`that is a ${kind} gets requests first; its 404s fall through to the pages`, async () => {
      const script = await (await serve(kind)).ready(1);
      const ask = (path, options) => request(script.monPort, path, options);
      assert.strictEqual((await ask('/mine')).body, `mine ${script.pid}`);
      assert.match((await ask('/')).body, /<html/);
      assert.strictEqual(JSON.parse((await ask('/status.json')).body).master.pid, script.pid);
      assert.match((await ask('/ecv')).body, /^status=AVAILABLE/);
      const lost = await ask('/nowhere');
      assert.strictEqual(lost.status, 404);
      assert.doesNotMatch(
        lost.body,
        /there is no such page/,
        'its own 404 where the pages know nothing either',
      );
      const body = 'b'.repeat(30_000);
      assert.strictEqual((await ask('/echo', { method: 'POST', body })).body, body);
    });
  }

  it('works with cluster: false', async () => {
    const script = await serve('function', { cluster: false });
    await script.until('it listens', () => request(script.port).then(() => true, () => false));
    assert.strictEqual((await request(script.monPort, '/mine')).body, `mine ${script.pid}`);
    assert.match((await request(script.monPort, '/')).body, /<html/);
  });

  it('that blocks the script does not delay the app, nor the pages for long', async () => {
    const script = await (await serve('function')).ready(1);
    const blocked = request(script.monPort, '/block', { signal: undefined });
    assert.strictEqual((await request(script.port)).body, 'app');
    const { body } = await request(script.monPort, '/status.json');
    assert.strictEqual(JSON.parse(body).master.pid, script.pid);
    await blocked;
  });

  it('is rejected if it cannot be served', async () => {
    const script = await serve('wrong');
    await script.until('the error is reported', () => script.emitted('error').length === 1);
    assert.strictEqual(script.emitted('error')[0][0].code, 'CLUSTER2_ERR_APP_INVALID');
    await script.ended();
  });
});
