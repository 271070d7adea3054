'use strict';

// The monitor's metrics are valid for Prometheus: for its checker, and for a real server that
// collects them.

const assert = require('node:assert');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { startPrometheus } = require('../helpers/prometheus');
const { need, run } = require('../helpers/tools');

async function begin() {
  const monPort = await freePort();
  const script = await new Script('http.js', {
    port: await freePort(),
    options: { monPort },
  }).ready();
  return { script, monPort };
}

describe('the metrics of the monitor', function () {
  this.timeout(40_000);
  let promtool;
  let prometheus;

  before(function () {
    [promtool, prometheus] = need(this, 'promtool', 'prometheus');
  });

  it('are accepted by promtool, including names, units and help', async () => {
    const { script, monPort } = await begin();
    process.kill(script.workers()[0], 'SIGKILL');
    await script.ready(3);
    const { status, headers, body } = await request(monPort, '/metrics');
    assert.strictEqual(status, 200);
    assert.match(headers['content-type'], /^text\/plain; version=0\.0\.4/);
    assert.match(body, /^cluster2_worker_exits_total\{reason="crash"\} 1$/m);
    assert.strictEqual(run(promtool, ['check', 'metrics'], body), '');
  });

  it('are OpenMetrics on request, with the same series', async () => {
    const { monPort } = await begin();
    const series = ({ body }) =>
      body
        .split('\n')
        .filter((line) => /^\w/.test(line))
        .map((line) => line.split(' ')[0]);
    const open = await request(monPort, '/metrics', {
      headers: { accept: 'application/openmetrics-text;version=1.0.0,*/*;q=0.1' },
    });
    assert.match(open.headers['content-type'], /^application\/openmetrics-text; version=1\.0\.0/);
    assert.ok(open.body.endsWith('# EOF\n'));
    assert.deepStrictEqual(series(open), series(await request(monPort, '/metrics')));
  });

  it('are collected by Prometheus, and grow with requests and deaths', async () => {
    const { script, monPort } = await begin();
    const { query, reaches, port } = await startPrometheus(prometheus, monPort);
    await reaches('up{job="cluster2"}', 1);
    await reaches('cluster2_requests_total', 0);
    for (let count = 0; count < 30; count += 1) await request(script.port);
    await reaches('cluster2_requests_total', 30);
    await reaches('sum(cluster2_worker_requests_total)', 30);
    assert.ok((await query('sum(cluster2_worker_resident_memory_bytes)')) > 1e7);
    assert.strictEqual(await query('sum(cluster2_worker_state{state="ready"})'), 2);
    process.kill(script.workers()[0], 'SIGKILL');
    await reaches('cluster2_worker_exits_total{reason="crash"}', 1);
    assert.strictEqual(
      await query('cluster2_requests_total'),
      30,
      'the requests of the dead worker stay counted',
    );
    const { data } = JSON.parse(
      (await request(port, '/api/v1/metadata?metric=cluster2_requests')).body,
    );
    assert.deepStrictEqual(
      data.cluster2_requests?.map(({ type, help }) => [type, help]),
      [['counter', 'Requests begun']],
    );
  });
});
