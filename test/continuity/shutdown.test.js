'use strict';

// shutdown(): accepted clients are served, later ones are refused, and nothing else happens to
// clients.

const assert = require('node:assert');
const { ask } = require('../helpers/ask');
const { Connection } = require('../helpers/client');
const hammer = require('../helpers/hammer');
const { assertCleanEnd, startServer } = require('../helpers/hammered');

/** The kinds of clients that connect again, and so notice when new connections are refused. */
const CLIENTS = {
  keepAlive: 6,
  agent: 3,
  oneShot: 6,
  slow: 3,
  late: 3,
  upload: 3,
  chunked: 3,
  halfOpen: 3,
  upgrade: 3,
};

const cutOf = (script) =>
  script
    .emitted('warning')
    .map(([{ message }]) => message)
    .filter((text) => text.includes('shutdownTimeout'));

/** A request that a worker has begun to answer, and finishes after `ms` milliseconds. */
async function begun(port, ms) {
  const connection = new Connection(port);
  await connection.say(`GET /slow/held/${ms} HTTP/1.1\r\nHost: test\r\n\r\n`, 'held');
  return connection;
}

describe('shutdown under load', () => {
  for (const [name, leave] of Object.entries({
    'by SIGTERM': (script) => script.kill('SIGTERM'),
    'by SIGINT': (script) => script.kill('SIGINT'),
    'from another process': (script) => ask(script.cwd, 'shutdown', [{ wait: true }]),
  })) {
    it(`${name} resets no client and answers all`, async () => {
      const script = await startServer();
      const load = hammer.start(script.port, { clients: CLIENTS, untilRefused: true });
      await load.answered(200);
      const left = leave(script);
      const report = await load.stop();
      await left;
      await assertCleanEnd(script);
      hammer.assertClean(report, { except: ['refused', 'reconnects', 'toldToClose', 'dropped'] });
      assert.ok(report.refused >= Object.keys(CLIENTS).length);
      assert.deepStrictEqual(cutOf(script), []);
    });
  }

  it('answers all requests of a pipeline that were received', async () => {
    const script = await startServer();
    const connections = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const connection = new Connection(script.port);
        const paths = ['slow/a/300', 'now/b/0', 'late/c/100', 'late/d/200'];
        await connection.say(
          paths.map((path) => `GET /${path} HTTP/1.1\r\nHost: test\r\n\r\n`).join(''),
          'a ',
        );
        return connection;
      }),
    );
    script.kill();
    await Promise.all(connections.map((connection) => connection.isClosed()));
    for (const { received, error } of connections) {
      assert.strictEqual(error, undefined);
      assert.strictEqual(received.split('HTTP/1.1 200').length - 1, 4, received);
      const last = received.slice(received.lastIndexOf('HTTP/1.1 200'));
      assert.match(last, /Connection: close/, 'only the last answer ends the connection');
      assert.strictEqual(received.split('Connection: close').length - 1, 1, received);
    }
    await assertCleanEnd(script);
  });

  it('with shutdownDelay serves all clients until that time, and refuses only then', async () => {
    const script = await startServer({ options: { shutdownDelay: 1500 } });
    const load = hammer.start(script.port, { clients: CLIENTS, untilRefused: true });
    await load.answered(100);
    const asked = performance.now();
    script.kill();
    await load.stop().then((report) => {
      hammer.assertClean(report, { except: ['refused', 'reconnects', 'toldToClose', 'dropped'] });
      const first = Math.min(...report.troubles.map(({ begun: at, took }) => at + took));
      assert.ok(first - asked > 1450, `refused after ${first - asked} ms`);
    });
    await assertCleanEnd(script);
  });

  it('with shutdownDelay, a second call changes nothing, dead workers are replaced', async () => {
    const script = await startServer({ options: { shutdownDelay: 2000 } });
    const asked = performance.now();
    script.kill();
    const both = [ask(script.cwd, 'shutdown'), ask(script.cwd, 'shutdown', [{ wait: true }])];
    process.kill(script.workers()[0], 'SIGKILL');
    await script.until('another one is there', () => script.emitted('listening').length === 3);
    assert.deepStrictEqual((await Promise.all(both)).map(({ ok }) => ok?.running), [true, true]);
    assert.ok(performance.now() - asked >= 1950);
    await assertCleanEnd(script);
  });

  it('cuts unfinished requests at shutdownTimeout, and says how many', async () => {
    const script = await startServer({ options: { noWorkers: 1, shutdownTimeout: 700 } });
    const held = [await begun(script.port, 60_000), await begun(script.port, 60_000)];
    const quick = await begun(script.port, 300);
    const asked = performance.now();
    script.kill();
    await quick.hears('first');
    quick.socket.destroy();
    await Promise.all(held.map((connection) => connection.isClosed()));
    const took = performance.now() - asked;
    assert.ok(took >= 650 && took < 3000, `${took} ms`);
    await assertCleanEnd(script);
    const [message, ...more] = cutOf(script);
    assert.match(
      message,
      /^worker \d+ did not finish within 700 ms \(shutdownTimeout\); it was killed with 2 open connections$/,
    );
    assert.deepStrictEqual(more, []);
  });

  it('during a reload rejects the reload, and ends the cluster gracefully', async () => {
    const script = await startServer();
    const load = hammer.start(script.port, { clients: CLIENTS, untilRefused: true });
    await load.answered(50);
    const reload = ask(script.cwd, 'reload');
    await script.until('the reload has begun', () => script.emitted('reloading').length > 0);
    script.kill();
    const report = await load.stop();
    const { error } = await reload;
    assert.strictEqual(error?.code, 'CLUSTER2_ERR_RELOAD_FAILED');
    assert.match(error.message, /shutting down/);
    hammer.assertClean(report, { except: ['refused', 'reconnects', 'toldToClose', 'dropped'] });
    await assertCleanEnd(script);
  });
});
