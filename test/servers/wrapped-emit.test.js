'use strict';

// Tracers, classes and servers with an `emit` of their own. Most of them call the `emit` of Node
// that they found, which is not ours where they came first, as a tracer does that is preloaded.

const assert = require('node:assert');
const { EventEmitter, once } = require('node:events');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const path = require('node:path');
const { Counters } = require('../../lib/http/counters');
const { emitBefore, observe } = require('../../lib/http/server-events');
const { Traffic } = require('../../lib/http/traffic');
const { selfSigned } = require('../helpers/certificate');
const { cluster2, startPlain } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { until } = require('../helpers/wait');

const PRELOAD = path.join(__dirname, '..', 'fixtures', 'observing.js');

class Own extends http.Server {}

/** Who has an `emit` of its own. */
const OWNERS = {
  'the class of HTTP servers': { make: () => http.createServer(), owner: http.Server.prototype },
  'the class of HTTPS servers': {
    make: () => https.createServer(selfSigned()), owner: https.Server.prototype,
  },
  'the class of net servers': { make: () => http.createServer(), owner: net.Server.prototype },
  'a class of the app': { make: () => new Own(), owner: Own.prototype },
  'a server': { make: () => http.createServer() },
};
/** What it calls: the function that was there, or the one that its class has at that time. */
const CALLS = {
  'the emit that it has found': (owner) => {
    const { emit } = owner;
    return () => emit;
  },
  'the emit of its class': (owner) => () => Object.getPrototypeOf(owner).emit,
  'the emit of emitters': () => () => EventEmitter.prototype.emit,
};

/** Gives an object this `emit`. Returns what gives it back the one that it had, or none. */
function replace(owner, emit) {
  const own = Object.getOwnPropertyDescriptor(owner, 'emit');
  owner.emit = emit;
  return own ? () => Object.defineProperty(owner, 'emit', own) : () => delete owner.emit;
}

function wrap(owner, find, heard) {
  const next = find(owner);
  const restore = replace(owner, function (event, ...args) {
    heard.push(event);
    return Reflect.apply(next(), this, [event, ...args]);
  });
  return { theirs: owner.emit, restore };
}

describe('an `emit` of its own', () => {
  let restore;
  let traffic;
  let unobserve;
  let server;
  let client;
  afterEach(async () => {
    client?.destroy();
    traffic?.close();
    unobserve?.();
    server.closeAllConnections();
    await once(server.close(), 'close');
    restore();
  });

  for (const [who, { make, owner: shared }] of Object.entries(OWNERS)) {
    for (const [what, find] of Object.entries(CALLS)) {
      for (const when of ['before', 'after']) {
        it(`of ${who}, ${what}, put there ${when} us: all is observed once`, async () => {
          const [heard, seen, counters] = [[], [], new Counters()];
          server = make();
          const owner = shared ?? server;
          let theirs;
          const put = () => ({ theirs, restore } = wrap(owner, find, heard));
          if (when === 'before') put();
          traffic = new Traffic(counters);
          const before = (of, event) => void (of === server && seen.push(event));
          unobserve = observe({ before });
          if (when === 'after') put();
          traffic.watch(server);
          await once(server.listen(0, '127.0.0.1'), 'listening');
          client = net.connect(server.address().port, '127.0.0.1');
          await until('it is there', () => traffic.size === 1);
          assert.deepStrictEqual(seen, ['listening', 'connection']);
          assert.deepStrictEqual([heard.includes('listening'), counters.connectionsTotal], [true, 1]);
          assert.strictEqual(heard.filter((event) => event === 'connection').length, 1);
          traffic.close();
          unobserve();
          assert.strictEqual(owner.emit, theirs);
        });
      }
    }
  }
});

it('an `emit` of a server is its own again once it is closed', async () => {
  const server = net.createServer();
  const { theirs } = wrap(server, CALLS['the emit of emitters'], []);
  const traffic = new Traffic(new Counters());
  traffic.watch(server);
  assert.notStrictEqual(server.emit, theirs);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  await once(server.close(), 'close');
  assert.strictEqual(server.emit, theirs);
  traffic.close();
});

it('the `emit` of all emitters stays where a server is not of `net.Server`, as on Bun', () => {
  const { emit } = EventEmitter.prototype;
  const traffic = new Traffic(new Counters());
  traffic.watch(new EventEmitter());
  assert.strictEqual(EventEmitter.prototype.emit, emit);
  traffic.close();
});

describe('an `emit` that is replaced once a server is observed', () => {
  const OWNERS_OF_LATE = {
    'that of all emitters, as `domain` does': EventEmitter.prototype,
    'that of its class, by a tracer that is switched on': http.Server.prototype,
  };
  for (const [which, owner] of Object.entries(OWNERS_OF_LATE)) {
    it(`gets what the server emits: ${which}`, async () => {
      const unobserve = observe({ before: () => {} });
      const server = http.createServer((_request, response) => response.end());
      emitBefore(server, (next) => function () {
        return Reflect.apply(next(), this, arguments);
      });
      const { emit } = owner;
      const heard = [];
      const restore = replace(owner, function (event) {
        if (this === server) heard.push(event);
        return Reflect.apply(emit, this, arguments);
      });
      try {
        await once(server.listen(0, '127.0.0.1'), 'listening');
        await request(server.address().port, '/', { agent: false });
        assert.deepStrictEqual(heard, ['listening', 'connection', 'request']);
      } finally {
        restore();
        unobserve();
        server.close();
      }
    });
  }
});

describe('a tracer that is preloaded', () => {
  it('has a plain script ready, and a reload keeps the connections of clients', async () => {
    const env = { NODE_OPTIONS: `--require ${PRELOAD}` };
    const script = await startPlain({ file: 'observed.js', env });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ask = async () => (await request(script.port, '/', { agent })).body;
    const socket = () => Object.values(agent.freeSockets)[0][0];
    try {
      const [before, one] = [await ask(), socket()];
      const { status, stderr } = cluster2(script.cwd, 'reload');
      assert.strictEqual(status, 0, stderr);
      assert.notStrictEqual(await ask(), before);
      assert.strictEqual(socket(), one);
    } finally {
      agent.destroy();
    }
  });
});
