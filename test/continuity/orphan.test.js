'use strict';

// Workers whose master is killed finish their requests, and leave.

const assert = require('node:assert');
const Cluster = require('../..');
const { Connection } = require('../helpers/client');
const { isAlive } = require('../helpers/cluster');
const hammer = require('../helpers/hammer');
const { change, startServer } = require('../helpers/hammered');

const TIMEOUT = 2500;

/** A request that a worker has begun to answer, and finishes after `ms` milliseconds. */
async function begun(port, ms) {
  const connection = new Connection(port);
  await connection.say(`GET /slow/held/${ms} HTTP/1.1\r\nHost: test\r\n\r\n`, 'held');
  return connection;
}

async function orphan(script) {
  const workers = script.workers();
  const killed = performance.now();
  script.kill('SIGKILL');
  await script.exited();
  const gone = async (deadline) => {
    await script.until(
      'the workers are gone',
      () => workers.every((pid) => !isAlive(pid)),
      deadline,
    );
    return performance.now() - killed;
  };
  return { workers, gone };
}

describe('workers whose master is killed', () => {
  const start = () => startServer({ options: { noWorkers: 2, shutdownTimeout: TIMEOUT } });

  it('answer the requests that they have begun, and leave', async () => {
    const script = await start();
    const held = await Promise.all([
      begun(script.port, 1200),
      begun(script.port, 1200),
      begun(script.port, 800),
    ]);
    const { gone } = await orphan(script);
    for (const connection of held) {
      await connection.hears('first');
      assert.strictEqual(connection.error, undefined);
    }
    await gone(TIMEOUT + 1000);
    held.forEach(({ socket }) => socket.destroy());
  });

  it('leave soon if they are idle', async () => {
    const { gone } = await orphan(await start());
    assert.ok((await gone()) < 2000);
  });

  it('cut requests that do not finish within shutdownTimeout', async () => {
    const script = await start();
    const held = await begun(script.port, 60_000);
    const { gone } = await orphan(script);
    const took = await gone(TIMEOUT + 2000);
    assert.ok(took > TIMEOUT - 500, `gone after ${took} ms`);
    await held.isClosed();
  });

  it('end at the deadline even if their event loop is stuck', async () => {
    const script = await start();
    const stuck = new Connection(script.port);
    stuck.socket.write('GET /block/b/60000 HTTP/1.1\r\nHost: test\r\n\r\n');
    await script.until('a worker is stuck', () =>
      script.events({ allProcesses: true }).some(([name]) => name === 'blocking'),
    );
    const { gone } = await orphan(script);
    await gone(TIMEOUT + 1500);
    await stuck.isClosed();
  });

  it('lose no request that they had taken, under load', async () => {
    const script = await start();
    const clients = { slow: 6, late: 6, upload: 4, chunked: 4 };
    const load = hammer.start(script.port, { clients, untilRefused: true, think: 60 });
    await load.answered(50);
    const { gone } = await orphan(script);
    const report = await load.stop();
    await gone(TIMEOUT + 1500);
    hammer.assertClean(report, { except: ['refused', 'reconnects', 'toldToClose', 'dropped'] });
  });

  it('serve until they know it, even if nothing but their servers keeps them alive', async () => {
    const script = await start();
    // The kernel may close the IPC of a dead master long before the rest.
    change(script, 'exports.load = () => process.channel?.unref();');
    await new Cluster({ pids: script.pids }).reload();
    const workers = script.workers();
    const load = hammer.start(script.port, { clients: { oneShot: 8, keepAlive: 4 } });
    load.watchPids();
    await load.answered(400);
    hammer.assertClean(await load.stop());
    assert.deepStrictEqual([...load.pids].sort(), workers.sort());
    const { gone } = await orphan(script);
    await gone(TIMEOUT + 1500);
  });

  it('leave the port free for the next master', async () => {
    const script = await start();
    const { gone } = await orphan(script);
    const next = await startServer({ port: script.port });
    await gone();
    assert.strictEqual(next.workers().length, 2);
  });
});
