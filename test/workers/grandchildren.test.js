'use strict';

// Processes that a worker starts and leaves behind hold no port, connection or directory of the
// cluster.

const assert = require('node:assert');
const { Connection, request } = require('../helpers/client');
const { Script, isAlive } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');

const START = 'GET /start HTTP/1.1\r\nHost: test\r\n\r\n';
const CLOSE = 'GET /close HTTP/1.1\r\nHost: test\r\n\r\n';
const pidIn = (text) => Number(/started (\d+)\./.exec(text)[1]);

describe('a process that a worker leaves behind', () => {
  const left = [];

  afterEach(() => {
    for (const pid of left.splice(0)) process.kill(pid, 'SIGKILL');
  });

  /** Lets the worker start a process. Returns its pid. */
  async function leave(port) {
    const pid = pidIn((await request(port, '/start')).body);
    left.push(pid);
    return pid;
  }

  for (const [signal, how] of [['SIGTERM', 'ended'], ['SIGKILL', 'was killed with its master']]) {
    it(`does not keep the port open when the cluster ${how}`, async () => {
      const port = await freePort();
      const script = await new Script('leftover-children.js', {
        port,
        options: { shutdownTimeout: 1000 },
      }).ready(1);
      const pid = await leave(port);
      const [worker] = script.workers();
      script.kill(signal);
      await script.exited();
      await until('the worker is gone', () => !isAlive(worker));
      await assert.rejects(request(port, '/start'), { code: 'ECONNREFUSED' });
      const next = await new Script('leftover-children.js', { port, cwd: script.cwd }).ready(1);
      await leave(next.port);
      assert.ok(isAlive(pid), 'it still runs');
    });
  }

  it('does not keep a connection open that the worker closes', async () => {
    const port = await freePort();
    await new Script('leftover-children.js', { port }).ready(1);
    const connection = new Connection(port);
    await connection.say(START, 'started');
    await connection.hears('.');
    left.push(pidIn(connection.received));
    connection.socket.write(CLOSE);
    await connection.isClosed();
    assert.ok(isAlive(left[0]), 'it still runs');
  });
});
