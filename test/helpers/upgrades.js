'use strict';

// Changes of masters, as tests see them.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const Cluster = require('../..');
const { Connection } = require('./client');
const { childrenOf, isAlive } = require('./cluster');
const { until } = require('./wait');

const FIXTURES = path.join(__dirname, '..', 'fixtures');

/** A server of the package that is installed beside it. */
const INSTALLED_APP = `
const Cluster = require('cluster2-rs');
const { begin, server } = require(${JSON.stringify(path.join(FIXTURES, 'hammered-app'))});
const options = { port: process.env.PORT, monPort: false, ...JSON.parse(process.env.OPTIONS) };
require(${JSON.stringify(path.join(FIXTURES, 'events'))})(new Cluster({ noWorkers: 2, ...options }))
  .listen((callback) => begin(() => callback(server)));
`;

/** The pid of the present master, as others find it. */
function masterOf(script) {
  return Number(fs.readFileSync(path.join(script.pids, 'master.pid'), 'utf8'));
}

/** Has another master take over. Returns its pid, which others find too. */
async function upgrade(script, options) {
  const { pid } = await new Cluster({ pids: script.pids }).upgrade(options);
  assert.strictEqual(masterOf(script), pid);
  return pid;
}

/** The arguments of all events with this name, of any process. */
function told(script, name) {
  const all = script.events({ allProcesses: true });
  return all.filter((event) => event[0] === name).map((event) => event.slice(1));
}

/** The pid of the master that was started last to take over. */
const lastHeir = (script) => told(script, 'upgrading').at(-1)?.[0].pid;

/**
 * Connections that ask once and then are idle. `check()` asks on each of them once more: none was
 * closed meanwhile.
 */
async function idleConnections(port, count) {
  const say = 'GET /now/idle/0 HTTP/1.1\r\nHost: x\r\n\r\n';
  const all = Array.from({ length: count }, () => new Connection(port));
  const askAll = async () => {
    for (const connection of all) {
      connection.received = '';
      connection.socket.write(say);
    }
    const isAnswered = (connection) => /^HTTP\/1\.1 200 [^]*\r\n\r\n./.test(connection.received);
    const left = () => all.filter((connection) => !isAnswered(connection)).length;
    await until('all idle connections are answered', () => left() === 0).catch((error) => {
      throw new Error(`${error.message}: ${left()} of ${count} are not`);
    });
    return all.map(({ received }) => Number(received.split(' ').at(-1)));
  };
  await askAll();
  return { check: askAll, end: () => all.forEach(({ socket }) => socket.destroy()) };
}

/** What a process has open, as the kernel names it, without numbers that differ. */
function descriptorsOf(pid) {
  const folder = `/proc/${pid}/fd`;
  const kinds = fs.readdirSync(folder).map((fd) => {
    try {
      return fs.readlinkSync(path.join(folder, fd)).replace(/\d+/g, '0');
    } catch {
      return undefined;
    }
  });
  return kinds.filter(Boolean).sort();
}

/** Ends the cluster by a signal to the process that was started first. */
async function endAll(script) {
  const master = masterOf(script);
  script.kill();
  const end = await script.ended();
  assert.deepStrictEqual(end, { code: 0, signal: null }, script.errors);
  assert.ok(!isAlive(master), 'the present master has ended');
  assert.deepStrictEqual(fs.readdirSync(script.pids), []);
}

module.exports = {
  INSTALLED_APP,
  childrenOf,
  descriptorsOf,
  endAll,
  idleConnections,
  lastHeir,
  masterOf,
  told,
  upgrade,
};
