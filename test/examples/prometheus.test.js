'use strict';

// The alerts and the dashboard of examples/prometheus: each alert fires when it should, and each
// query of the dashboard finds something in a real Prometheus.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { cluster2 } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { startPrometheus } = require('../helpers/prometheus');
const { need } = require('../helpers/tools');
const { until } = require('../helpers/wait');

const FOLDER = path.join(__dirname, '..', '..', 'examples', 'prometheus');
const dashboard = JSON.parse(fs.readFileSync(path.join(FOLDER, 'dashboard.json'), 'utf8'));
/** The queries, with values for Grafana's variables. */
const QUERIES = dashboard.panels.flatMap(({ title, targets }) =>
  targets.map(({ expr }) => ({
    title,
    query: expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '1m'),
  })),
);

describe('examples/prometheus', function () {
  this.timeout(60_000);
  let promtool;
  let prometheus;

  before(function () {
    [promtool, prometheus] = need(this, 'promtool', 'prometheus');
  });

  it('has alerts that fire when they should, and not before', () => {
    const run = (...args) => execFileSync(promtool, args, { cwd: FOLDER, encoding: 'utf8' });
    assert.match(run('check', 'config', 'prometheus.yml'), /SUCCESS/);
    assert.match(run('test', 'rules', 'alerts.test.yml'), /SUCCESS/);
    const names = (file, pattern) =>
      new Set([...fs.readFileSync(path.join(FOLDER, file), 'utf8').matchAll(pattern)].map(([, name]) => name));
    const tested = names('alerts.test.yml', /alertname: (\w+)\n {8}exp_alerts:\n/g);
    assert.deepStrictEqual(tested, names('alerts.yml', /alert: (\w+)/g), 'each alert has a test');
  });

  it('asks only for metrics that exist', async () => {
    const monPort = await freePort();
    const options = { monPort };
    const script = await new Script('http.js', { port: await freePort(), options }).ready();
    const { body } = await request(monPort, '/metrics');
    const known = new Set([...body.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name));
    const alerts = fs.readFileSync(path.join(FOLDER, 'alerts.yml'), 'utf8');
    const asked = `${alerts} ${JSON.stringify(dashboard)}`.match(/\bcluster2_\w+/g);
    const unknown = asked.filter((name) => !known.has(name.replace(/_bucket$/, '')));
    assert.deepStrictEqual(unknown, []);
    script.kill();
    await script.ended();
  });

  it('has a dashboard whose queries all find something', async () => {
    const monPort = await freePort();
    const options = { monPort };
    const script = await new Script('http.js', { port: await freePort(), options }).ready();
    const { query } = await startPrometheus(prometheus, monPort);
    await until('it is collected', async () => (await query('cluster2_workers_ready')) === 2);
    await request(script.port);
    process.kill(script.workers()[0], 'SIGKILL');
    await script.ready(3);
    assert.strictEqual(cluster2(script.cwd, 'reload').status, 0);
    assert.ok(QUERIES.length > 20, `${QUERIES.length} queries`);
    for (const { title, query: text } of QUERIES) {
      await until(
        `there is something in "${title}": ${text}`,
        async () => (await query(text)) !== undefined, 20_000,
      );
    }
  });
});
