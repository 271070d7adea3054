'use strict';

// A worker of a new master that is stuck before that has taken over.

const assert = require('node:assert');
const { childrenOf } = require('../helpers/cluster');
const { BLOCKED, ask, clients, closeAll, during, start } = require('../helpers/stuck');
const { lastHeir, told, upgrade } = require('../helpers/upgrades');
const { until } = require('../helpers/wait');

/** After so long others may have its idle connections, milliseconds. */
const STUCK = 1000;

describe('a worker of a new master that has not taken over', () => {
  it('keeps its idle connections for a second when it is stuck', async () => {
    const script = await start({ minReadyTime: 2 * BLOCKED });
    const upgraded = upgrade(script);
    await until('its workers are ready', () => told(script, 'listening').length === 4);
    const workers = childrenOf(lastHeir(script));
    const connections = await clients(script);
    const [first, ...rest] = connections.filter(({ owner }) => workers.includes(owner));
    assert.ok(rest.length > 0, 'the new workers have some');
    const { stuck, answers } = await during([first, ...rest]);
    const own = answers.filter(({ owner }) => owner === stuck);
    assert.ok(own.length > 0, 'it had connections');
    for (const { pid, isEarly, ms } of own) {
      assert.ok(ms > 0.9 * STUCK, `${ms} ms`);
      assert.ok(isEarly && pid !== stuck, 'then others answer');
    }
    await upgraded;
    await Promise.all(connections.map((connection) => ask(connection)));
    closeAll(connections);
  });
});
