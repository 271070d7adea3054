'use strict';

// Connections that are taken from a stuck worker keep the limits of their server, and live on when
// that worker drains. Connections that the app has passed on are not taken.

const assert = require('node:assert');
const Cluster = require('../..');
const {
  GET, ask, assertKept, assertServed, clients, closeAll, during, ownedBy, start,
} = require('../helpers/stuck');
const { until } = require('../helpers/wait');

describe('a connection that is taken from a stuck worker', () => {
  it('keeps the maxRequestsPerSocket and keepAliveTimeout of its server', async () => {
    const script = await start({ env: { KIND: 'limits' } });
    const connections = await clients(script);
    const result = await during(connections);
    assertServed(result);
    const began = performance.now();
    const [, third, ...idle] = connections.filter(({ owner }) => owner === result.stuck);
    await ask(third);
    assert.match(third.received, /^HTTP\/1\.1 200 OK\r\n[^]*Connection: close\r\n/);
    await third.isClosed();
    await until('one of the others ends', () => idle.some(({ closed }) => closed));
    assert.ok(performance.now() - began > 1500, 'the time starts with the last answer');
    await until('all end', () => idle.every(({ closed }) => closed), 4000);
    closeAll(connections);
  });

  it('lives on if its worker is told to leave meanwhile', async () => {
    const script = await start();
    const connections = await clients(script);
    const old = script.workers();
    const answers = during(connections);
    const reload = new Cluster({ pids: script.pids }).reload();
    assert.ok((await answers).answers.length > 0);
    await reload;
    // The last one is told to leave a moment after that.
    await script.until('the old workers are gone', () =>
      !script.workers().some((pid) => old.includes(pid)));
    const left = await Promise.all(connections.map((connection) => ask(connection)));
    assert.deepStrictEqual(left.filter(({ pid }) => old.includes(pid)), []);
    assert.deepStrictEqual(connections.filter(({ closed, error }) => closed || error), []);
    closeAll(connections);
  });

  it('is not one that the app has passed on to another server', async () => {
    const script = await start();
    const connections = await clients(script);
    const passed = connections.slice(0, 8);
    for (const connection of passed)
      connection.owner = (await ask(connection, GET.replace('/', '/pass'))).pid;
    const [{ owner }] = passed;
    const [first] = await ownedBy(owner, connections.slice(8));
    assertKept(await during([first, ...passed]));
    closeAll(connections);
  });

  it('is not one of a server that has sent some to another process', async () => {
    const script = await start();
    const [sent, ...others] = await clients(script);
    const { pid } = await ask(sent, GET.replace('/', '/send'));
    assertKept(await during(await ownedBy(pid, others)));
    closeAll([sent, ...others]);
  });
});
