'use strict';

// 50 reloads and 100,000 requests for each kind of client, without one error. Takes minutes.
// CLUSTER2_LONG_REQUESTS and CLUSTER2_LONG_RELOADS make it shorter or longer.

const assert = require('node:assert');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const hammer = require('../helpers/hammer');
const { assertCleanEnd, startServer } = require('../helpers/hammered');

const REQUESTS = Number(process.env.CLUSTER2_LONG_REQUESTS ?? 100_000);
const RELOADS = Number(process.env.CLUSTER2_LONG_RELOADS ?? 50);
const OF_ALL_KINDS = {
  ...{ keepAlive: 10, agent: 4, oneShot: 10, slow: 20, late: 10 },
  ...{ upload: 8, chunked: 8, pipelined: 6, halfOpen: 8, upgrade: 8 },
};

const runs = {
  'new connections': { clients: { oneShot: 24 }, think: 0 },
  'keep-alive': { clients: { keepAlive: 40, agent: 8 }, think: 10 },
  // A slow request takes a tenth of a second, so there are many clients.
  'slow bodies, both ways': { clients: { slow: 150, upload: 60, chunked: 60 }, think: 5 },
  'WebSocket, short-lived': { clients: { upgrade: 120 }, think: 0 },
  'a unix socket': { clients: OF_ALL_KINDS, think: 3, port: 'app.sock' },
  IPv6: { clients: OF_ALL_KINDS, think: 3, host: '::1' },
};

/** The details that explain a failure. */
function told(script, load) {
  const bad = ([name, , death]) => name === 'warning' || (name === 'died' && death.code !== 0);
  const deaths = script.events().filter(bad);
  const { troubles } = load;
  return JSON.stringify(
    { troubles: troubles.slice(0, 5), of: troubles.length, deaths, errors: script.errors },
    null,
    1,
  );
}

describe(`${RELOADS} reloads and ${REQUESTS} requests`, () => {
  for (const [name, { clients, think, port, host }] of Object.entries(runs)) {
    it(`of ${name}, without one error`, async () => {
      const script = await startServer({ options: { noWorkers: 2, ...(host && { host }) }, port });
      const address = port
        ? path.join(script.cwd, port)
        : { host: host ?? '127.0.0.1', port: script.port };
      const load = hammer.start(address, { clients, think, deadline: 20_000 });
      let reloads = 0;
      while (reloads < RELOADS || load.counts.ok < REQUESTS) {
        const { ok, error } = await ask(script.cwd, 'reload');
        assert.deepStrictEqual(ok, { replaced: 2 }, JSON.stringify(error));
        reloads += 1;
        // Spread over the requests; the last ones follow without a pause if there are enough
        // requests.
        const due = Math.min(REQUESTS, Math.round((REQUESTS * reloads) / RELOADS));
        if (load.counts.ok < due) await load.answered(due - load.counts.ok, 300_000);
        assert.strictEqual(load.troubles.length, 0, told(script, load));
      }
      const report = await load.stop();
      hammer.assertClean(report);
      assert.ok(report.ok >= REQUESTS);
      await script.until(
        'the old workers are gone',
        () => script.emitted('died').length === 2 * reloads,
        40_000,
      );
      assert.deepStrictEqual(script.emitted('warning'), []);
      script.kill();
      await assertCleanEnd(script, 40_000);
    });
  }
});
