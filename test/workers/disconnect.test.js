'use strict';

// A worker whose script closes its IPC, at which node:cluster ends a worker at once, leaves as at a
// SIGTERM.

const assert = require('node:assert');
const { request } = require('../helpers/client');
const hammer = require('../helpers/hammer');
const { change, someWorker, startServer } = require('../helpers/hammered');
const Cluster = require('../..');

const WAYS = {
  'cluster.worker.disconnect()': "require('cluster').worker.disconnect()",
  'process.disconnect()': 'process.disconnect()',
};

describe('a worker whose script closes its IPC', () => {
  for (const [way, code] of Object.entries(WAYS)) {
    it(`by ${way} is replaced, and costs no client anything`, async () => {
      const script = await startServer();
      change(
        script,
        `exports.load = (server) => server.on('request', ({ url }) => {
          if (url === '/now/leave/0') setImmediate(() => ${code});
        });`,
      );
      await new Cluster({ pids: script.pids }).reload();
      const load = hammer.start(script.port, { clients: { oneShot: 4, keepAlive: 8, late: 4 } });
      await load.answered(100);
      const before = script.workers();
      const died = script.emitted('died').length;
      const { body } = await request(script.port, '/now/leave/0');
      const gone = Number(body.split(' ').at(-1));
      await script.until('it is gone', () => script.emitted('died').length > died);
      assert.strictEqual(script.emitted('died').at(-1)[0], gone);
      assert.strictEqual(script.emitted('died').at(-1)[1].reason, 'leave');
      await script.until('it is replaced', () => script.workers().length === before.length);
      assert.notStrictEqual(await someWorker(script.port), gone);
      await load.answered(100);
      hammer.assertClean(await load.stop());
    });
  }
});
