'use strict';

// A real Prometheus that collects from a monitor once a second.

const assert = require('node:assert');
const { request } = require('./client');
const { freePort } = require('./ports');
const { Tool } = require('./tools');
const { until } = require('./wait');

const CONFIG = (port) => `
global: { scrape_interval: 1s, scrape_timeout: 1s }
scrape_configs:
- { job_name: cluster2, static_configs: [{ targets: ['127.0.0.1:${port}'] }] }
`;

/**
 * Starts a Prometheus that collects from that port once a second. `query` returns the value it
 * finds, if any.
 */
async function startPrometheus(program, monPort) {
  const port = await freePort();
  const args = [
    '--config.file={directory}/config.yml',
    '--storage.tsdb.path={directory}/data',
    `--web.listen-address=127.0.0.1:${port}`,
  ];
  const tool = new Tool(program, args, { 'config.yml': CONFIG(monPort) });
  await until(
    'Prometheus is ready',
    async () => (await request(port, '/-/ready').catch(() => ({}))).status === 200,
  );
  const query = async (text) => {
    const { status, body } = await request(port, `/api/v1/query?query=${encodeURIComponent(text)}`);
    assert.strictEqual(status, 200, body);
    const [found] = JSON.parse(body).data.result;
    return found && Number(found.value[1]);
  };
  const reaches = (text, number) =>
    until(`${text} is ${number}\n${tool.output}`, async () => (await query(text)) === number);
  return { tool, port, query, reaches };
}

module.exports = { startPrometheus };
