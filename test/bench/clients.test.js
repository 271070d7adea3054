'use strict';

// The tools of the benchmark: its clients, the server that all peers run, and nginx.

const assert = require('node:assert');
const { once } = require('node:events');
const app = require('../../bench/app');
const { Latencies, Pace } = require('../../bench/lib/clients');
const { Connection } = require('../../bench/lib/connection');
const { removeDirectories } = require('../../bench/lib/directories');
const { behindNginx } = require('../../bench/lib/nginx');
const { waits } = require('../../bench/lib/waits');
const { need } = require('../helpers/tools');

describe('the clients of the benchmark', () => {
  it('count requests in one batch with the blocking request apart from later ones', () => {
    const answers = [
      { begin: 1, ms: 5 },
      { begin: 9, ms: 3001 },
      { begin: 10, ms: 49 },
      { begin: 11, ms: 51 },
    ];
    assert.deepStrictEqual(waits(answers, 10, 50), { worst: 51, late: 1, batch: 1 });
    assert.deepStrictEqual(waits([], 10, 50), { worst: NaN, late: 0, batch: 0 });
  });

  it('keep their distance in time, even after they waited together', () => {
    const paces = [new Pace(100, 0, 1000), new Pace(100, 0.5, 1000)];
    assert.deepStrictEqual(paces.map(({ untilFirst }) => untilFirst), [0, 50]);
    assert.deepStrictEqual(paces.map((pace) => pace.untilNext(1060)), [40, 90]);
    assert.deepStrictEqual(paces.map((pace) => pace.untilNext(1310)), [90, 40]);
    assert.strictEqual(new Pace(0, 0.5, 1000).untilNext(1310), 0);
  });

  it('record percentiles of latencies', () => {
    const latencies = new Latencies();
    for (let ms = 1; ms <= 1000; ms++) latencies.record(ms);
    const { p50, p99, max } = latencies.summary();
    for (const [value, expected] of [
      [p50, 500],
      [p99, 990],
      [max, 1000],
    ])
      assert.ok(Math.abs(value / expected - 1) < 0.01, `${value}`);
    assert.ok(Number.isNaN(new Latencies().summary().p99));
  });
});

describe('the server of the benchmark', () => {
  let server;

  beforeEach(async () => {
    server = app().listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(async () => {
    server.close();
    await once(server, 'close');
  });

  it('answers with its pid, and with the time at which it began to block', async () => {
    const connection = new Connection(server.address().port);
    assert.strictEqual(Number(await connection.ask('/pid')), process.pid);
    const now = () => Number(process.hrtime.bigint()) / 1e6;
    const before = now();
    const began = Number(await connection.ask('/block/20'));
    assert.ok(before <= began && began + 20 <= now(), `${before} ${began}`);
    assert.strictEqual(await connection.ask('/'), undefined);
    await connection.close();
  });

  describe('behind nginx', () => {
    before(function () {
      need(this, 'nginx');
    });
    afterEach(removeDirectories);

    it('answers on a keep-alive connection', async () => {
      await behindNginx(server.address().port, async (port) => {
        const connection = new Connection(port);
        for (let i = 0; i < 2; i++)
          assert.strictEqual(Number(await connection.ask('/pid')), process.pid);
        await connection.close();
      });
      server.closeIdleConnections();
    });
  });
});
