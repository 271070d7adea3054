'use strict';

// Three machines, each a network namespace of its own, behind HAProxy: one after the other is taken
// out of rotation, upgraded, and brought back. The upgrade of one fails and is undone.

const assert = require('node:assert');
const { execFileSync, spawnSync } = require('node:child_process');
const Cluster = require('../..');
const { request } = require('../helpers/client');
const hammer = require('../helpers/hammer');
const { change, startServer } = require('../helpers/hammered');
const { freePort } = require('../helpers/ports');
const { Tool, need } = require('../helpers/tools');
const { masterOf, upgrade } = require('../helpers/upgrades');
const { until } = require('../helpers/wait');

const HOSTS = 3;
const CLIENTS = hammer.allExcept('upgrade', 'halfOpen');

const can = (...command) => spawnSync(command[0], command.slice(1)).status === 0;

/** The machine's address and that of its neighbour, where HAProxy runs. */
function addresses(index) {
  const network = `10.213.${process.pid % 250}.`;
  return { own: `${network}${4 * index + 2}`, front: `${network}${4 * index + 1}` };
}

/** Starts a cluster on a machine of its own, and connects that with this one. */
async function startHost(index, port) {
  const script = await startServer({ port, options: { ecv: true }, through: ['unshare', '--net'] });
  const { own, front } = addresses(index);
  const [here, there] = ['h', 'p'].map((end) => `c2${process.pid % 100_000}${end}${index}`);
  const ip = (...args) => execFileSync('ip', args);
  const inside = (...args) =>
    execFileSync('nsenter', ['--net', '--target', `${script.pid}`, 'ip', ...args]);
  ip('link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', `${script.pid}`);
  ip('addr', 'add', `${front}/30`, 'dev', here);
  ip('link', 'set', here, 'up');
  inside('addr', 'add', `${own}/30`, 'dev', there);
  inside('link', 'set', there, 'up');
  inside('link', 'set', 'lo', 'up');
  return { script, own, end: () => spawnSync('ip', ['link', 'del', here]) };
}

const config = (front, back, hosts) => `
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    retries 0
frontend app
    bind 127.0.0.1:${front}
    default_backend hosts
backend hosts
    balance roundrobin
    option httpchk GET /ecv
    http-check expect rstring AVAILABLE
    default-server inter 200ms fall 2 rise 1
${hosts.map(({ own }, index) => `    server web${index} ${own}:${back} check`).join('\n')}
`;

describe('a fleet behind HAProxy', function () {
  this.timeout(120_000);
  let haproxy;

  before(function () {
    [haproxy] = need(this, 'haproxy', 'ip', 'nsenter');
    const link = ['ip', 'link', 'add', 'name', 'c2a', 'type', 'veth', 'peer', 'name', 'c2b'];
    if (!can('unshare', '--net', ...link)) this.skip();
  });

  it('is upgraded one machine after the other without a failed request', async () => {
    const [front, back] = [await freePort(), await freePort()];
    const hosts = [];
    try {
      for (let index = 0; index < HOSTS; index++) hosts.push(await startHost(index, back));
      new Tool(haproxy, ['-db', '-f', '{directory}/haproxy.cfg'], {
        'haproxy.cfg': config(front, back, hosts),
      });
      const version = async () => {
        const { status, body } = await request(front, '/now/a/0').catch(() => ({}));
        return status === 200 ? body.split(' ').at(-2) : undefined;
      };
      await until('HAProxy answers', version);
      const clients = hammer.start(front, { clients: CLIENTS });
      await clients.answered(200);
      for (const [index, { script }] of hosts.entries()) {
        const cluster = new Cluster({ pids: script.pids });
        await cluster.disable();
        const old = (await cluster.status()).workers.map(({ pid }) => pid);
        await until('it gets no more requests', async () => {
          clients.watchPids();
          await clients.answered(60);
          return old.every((pid) => !clients.pids.has(pid));
        });
        change(script, 'exports.version = "second";');
        if (index === 1) {
          change(script, 'throw new Error("not on this machine");');
          await assert.rejects(upgrade(script), { message: /not on this machine/ });
          assert.strictEqual(masterOf(script), script.pid);
        } else {
          await upgrade(script);
        }
        await cluster.enable();
        const present = (await cluster.status()).workers.map(({ pid }) => pid);
        await until('it gets requests again', async () => {
          clients.watchPids();
          await clients.answered(60);
          return present.some((pid) => clients.pids.has(pid));
        });
      }
      hammer.assertClean(await clients.stop());
      const versions = new Set();
      await until('both versions answer', async () => versions.add(await version()).size === 2);
      assert.deepStrictEqual([...versions].sort(), ['first', 'second']);
    } finally {
      hosts.forEach(({ end }) => end());
    }
  });
});
