'use strict';

// A moved connection behaves to its end as if it had not been moved. Each scenario runs twice at
// the same time: across a reload, and on a cluster without one. The client must see the same, at
// the same times.

const assert = require('node:assert');
const { ask } = require('../helpers/ask');
const { Connection } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { elapse, until } = require('../helpers/wait');

/**
 * The least time that connections wait before they are moved, in milliseconds. A timer that forgets
 * this time fails the test.
 */
const WAIT = 1200;
/** The tolerance for the times of the ends, in milliseconds. */
const ALIKE = 600;
/** Longer than it takes to move the connections on a busy machine, in milliseconds. */
const LONG = 5500;
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const get = (path) => GET.replace('/ ', `${path} `);

/** The received text, without the parts that change every second. */
const text = ({ received }) => received.replaceAll(/Date: .*\r\n/g, '');

/** The end of a connection as the client sees it, and its time after `begun`. */
async function endOf(connection, begun) {
  await connection.isClosed(LONG + 4000);
  return { text: text(connection), ended: connection.ended, after: performance.now() - begun };
}

/** Sends a request, and waits for the response. */
async function answered(connection, request = GET, answer = 'hello') {
  connection.received = '';
  await connection.say(request, answer);
}

/** Waits until a silent connection that was opened after the move is ended. */
const outwaits = (connect) => connect().isClosed();

/** A scenario: the connection outlasts the timeouts of a request, and is answered. */
const mayWait = (set) => ({
  // Shorter than the wait, and long enough for a request on a busy machine.
  set: { headersTimeout: 900, requestTimeout: 1000, ...set },
  async run(connect, moves) {
    const connection = connect();
    await answered(connection);
    await moves();
    await outwaits(connect);
    await answered(connection);
    return text(connection);
  },
});

/** A scenario: the connection is ended some time after the answer to its only request. */
const endsIdle = (set) => ({
  set,
  async run(connect, moves) {
    const connection = connect();
    await answered(connection);
    const begun = performance.now();
    await moves();
    return endOf(connection, begun);
  },
});

/**
 * Scenarios: `set` configures the server; `run(connect, moves, script)` runs it, where `connect()`
 * opens a connection and `moves()` waits until all were moved. The values that `run` returns are
 * compared.
 */
const SCENARIOS = {
  'ends when keepAliveTimeout is over': endsIdle({ keepAliveTimeout: LONG }),
  'ends when the time-out of the server is over': endsIdle({
    keepAliveTimeout: 0,
    timeout: LONG,
  }),
  'ends when the time-out of the server is over, without a request': {
    set: { timeout: LONG },
    async run(connect, moves) {
      const begun = performance.now();
      const connection = connect();
      await moves();
      return endOf(connection, begun);
    },
  },
  'gets 408 when headersTimeout is over, without a request': {
    set: { headersTimeout: LONG },
    async run(connect, moves) {
      const begun = performance.now();
      const connection = connect();
      await moves();
      const end = await endOf(connection, begun);
      assert.match(end.text, /^HTTP\/1.1 408 /);
      return end;
    },
  },
  'ends when requestTimeout is over, in the middle of its next request': {
    set: { keepAliveTimeout: 60_000, requestTimeout: 2100, headersTimeout: 2000 },
    async run(connect, moves) {
      const connection = connect();
      await answered(connection);
      await moves();
      const begun = performance.now();
      connection.socket.write('POST / HTTP/1.1\r\nHost: a\r\n');
      // Node 18.7 answers 408 only if it has written nothing yet.
      const { after } = await endOf(connection, begun);
      return { after };
    },
  },
  'may wait for longer than headersTimeout and requestTimeout, by keepAliveTimeout': mayWait({
    keepAliveTimeout: 60_000,
  }),
  'may wait for ever without keepAliveTimeout': mayWait({ keepAliveTimeout: 0 }),
  'has its whole time again, or no time-out, once it receives anything': {
    set: { keepAliveTimeout: LONG },
    async run(connect, moves) {
      const [connection, other] = [connect(), connect()];
      await answered(connection);
      await moves();
      connection.socket.write('\r\n');
      const begun = performance.now();
      const end = endOf(connection, begun);
      const slow = answered(other, get('/slow?7000'), 'slow').then(() => ({
        open: !connection.closed,
      }));
      return Promise.race([end, slow]);
    },
  },
  'has the time-outs of a request during its next one, not those of the wait for it': {
    set: { keepAliveTimeout: LONG },
    async run(connect, moves) {
      const connection = connect();
      await answered(connection);
      await moves();
      await answered(connection, get('/slow?6500'), 'slow');
      return text(connection);
    },
  },
  'has no time-out once it is upgraded': {
    set: { keepAliveTimeout: LONG },
    async run(connect, moves) {
      const [connection, other] = [connect(), connect()];
      await answered(connection);
      await moves();
      await answered(
        connection,
        GET.replace('Host', 'Upgrade: echo\r\nConnection: Upgrade\r\nHost'),
        '101',
      );
      await answered(other, get('/slow?6500'), 'slow');
      await answered(connection, 'still here', 'still here');
      return text(connection);
    },
  },
  'emits its timeout once': {
    set: { timeout: 500, keepAliveTimeout: 0, tells: true },
    async run(connect, moves, script) {
      const connection = connect();
      const told = ({ localPort }) =>
        script.output.split('\n').filter((line) => line === `["timeout",${localPort}]`).length;
      await answered(connection);
      await script.until('its time-out is reported', () => told(connection) === 1);
      await moves();
      const other = connect();
      await script.until('the time-out of another is reported', () => told(other) === 1);
      return told(connection);
    },
  },
  'is idle for closeIdleConnections()': {
    set: { keepAliveTimeout: 60_000 },
    async run(connect, moves) {
      const [connection, other] = [connect(), connect()];
      await answered(connection);
      await moves();
      await answered(other, get('/idle'));
      await connection.isClosed();
      return text(connection);
    },
  },
  'has as many requests as maxRequestsPerSocket says': {
    set: { maxRequestsPerSocket: 4, keepAliveTimeout: 60_000 },
    async run(connect, moves) {
      const connection = connect();
      await answered(connection);
      await answered(connection);
      await moves();
      await answered(connection);
      const third = text(connection);
      await answered(connection);
      const fourth = text(connection);
      assert.match(fourth, /Connection: close/);
      await answered(connection, GET, ' 503 ');
      return [third, fourth, text(connection)];
    },
  },
  'has no more than those, even in one pipeline': {
    set: { maxRequestsPerSocket: 3, keepAliveTimeout: 60_000 },
    async run(connect, moves, script, name) {
      const connection = connect();
      await answered(connection);
      await answered(connection);
      await moves();
      await answered(connection, get('/drop').repeat(3), 'hello');
      await until('all are answered', () =>
        connection.received.match(/ 503 [^]* 503 [^]*\r\n\r\n/),
      );
      const says = (what) =>
        script.output.split('\n').filter((line) => line === JSON.stringify([what, name])).length;
      await script.until('the others are dropped', () => says('drops') === 2);
      assert.strictEqual(says('answers'), 1);
      return text(connection);
    },
  },
};

/** A cluster with a server for each scenario. */
async function open() {
  const servers = {};
  for (const [name, { set }] of Object.entries(SCENARIOS)) {
    const { headersTimeout, requestTimeout, ...times } = set;
    servers[name] = {
      port: await freePort(),
      options: { headersTimeout, requestTimeout },
      ...times,
    };
  }
  const script = await new Script('server-timeouts.js', {
    env: { SERVERS: JSON.stringify(servers) },
  }).ready(1);
  return { script, servers };
}

/** The result of each scenario, or its error. */
function playAll({ script, servers }, moves) {
  const one = ([name, { run }]) => {
    const connect = () => new Connection(servers[name].port);
    const result = run(connect, moves, script, name);
    return result.then(
      (result) => (result.after ? result : { result }),
      ({ message }) => ({ error: message }),
    );
  };
  return Promise.all(Object.entries(SCENARIOS).map(one));
}

/**
 * Reloads one cluster once all scenarios wait for the move and WAIT has passed. Then the scenarios
 * on both clusters go on.
 */
function mover(script, reloads) {
  const count = 2 * Object.keys(SCENARIOS).length;
  let waiting = 0;
  const moved = (async () => {
    await until('all wait to be moved', () => waiting === count);
    await elapse(WAIT, 'timers that forget this time fail the test');
    for (let i = 0; i < reloads; i++)
      assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
    await script.until('the old workers are gone', () => script.emitted('died').length === reloads);
  })();
  return () => {
    waiting += 1;
    return moved;
  };
}

describe('a connection', () => {
  const names = Object.keys(SCENARIOS);
  for (const [how, reloads] of Object.entries({ once: 1, twice: 2 })) {
    it(`that is moved ${how} behaves like one that was not moved, at the same times`, async () => {
      const [reloaded, still] = await Promise.all([open(), open()]);
      const moves = mover(reloaded.script, reloads);
      const [moved, expected] = await Promise.all([
        playAll(reloaded, moves),
        playAll(still, moves),
      ]);
      names.forEach((name, index) => {
        const [{ after, ...one }, { after: other, ...another }] = [moved[index], expected[index]];
        assert.ok(!one.error && !another.error, `${name}: ${one.error} (still: ${another.error})`);
        assert.deepStrictEqual(one, another, name);
        if (after)
          assert.ok(
            Math.abs(after - other) < ALIKE,
            `${name}: after ${after} ms instead of ${other}`,
          );
      });
    });
  }
});
