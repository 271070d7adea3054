'use strict';

// A server behind the load balancers of the examples learns who its clients are, and can upgrade.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { startPlain } = require('../helpers/cli');
const { Connection, request } = require('../helpers/client');
const { freePort } = require('../helpers/ports');
const { Tool, need } = require('../helpers/tools');
const { until } = require('../helpers/wait');

const CONFIGS = path.join(__dirname, '..', '..', 'examples', 'load-balancers');
const UPGRADE =
  'GET /chat HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n';

/** Starts a server, and a balancer with the example's configuration in front of it. */
async function behind(file, start) {
  const port = await freePort();
  const script = await startPlain({ file: 'headers.js' });
  const text = fs.readFileSync(path.join(CONFIGS, file), 'utf8');
  start(text.replaceAll(':8080', `:${port}`).replaceAll(/:30[01]0/g, `:${script.port}`));
  await until('the balancer answers', async () =>
    (await request(port, '/').catch(() => ({}))).status === 200);
  return port;
}

const BALANCERS = {
  haproxy: ['haproxy.cfg', (program, config) =>
    new Tool(program, ['-db', '-f', '{directory}/haproxy.cfg'], { 'haproxy.cfg': config })],
  nginx: ['nginx.conf', (program, config) => {
    const user = process.getuid() === 0 ? 'user root; ' : '';
    const globals = `${user}daemon off;`;
    const args = ['-p', '{directory}', '-c', '{directory}/nginx.conf', '-g', globals];
    return new Tool(program, args, { 'nginx.conf': config });
  }],
};

for (const [name, [file, start]] of Object.entries(BALANCERS)) {
  describe(`behind ${name} a server`, () => {
    let program;
    before(function () {
      [program] = need(this, name);
    });

    it('gets the name that was asked for, the client’s address and the protocol', async () => {
      const port = await behind(file, (config) => start(program, config));
      const client = new Connection(port);
      const get = 'GET / HTTP/1.1\r\nHost: app.example:8080\r\nX-Forwarded-Proto: forged\r\n';
      await client.say(`${get}Connection: close\r\n\r\n`, '}');
      const headers = JSON.parse(client.received.match(/\{.*\}/)[0]);
      assert.strictEqual(headers.host, 'app.example:8080');
      assert.strictEqual(headers['x-forwarded-host'], 'app.example:8080');
      assert.strictEqual(headers['x-forwarded-for'], '127.0.0.1');
      assert.strictEqual(headers['x-forwarded-proto'], 'http');
    });

    it('can upgrade a connection', async () => {
      const port = await behind(file, (config) => start(program, config));
      const client = new Connection(port);
      await client.say(UPGRADE, 'upgraded');
      await client.say('there and back', 'there and back');
      client.socket.destroy();
    });
  });
}
