'use strict';

// `listen()` and `close()` in a worker act as in plain Node, in the same tick and order.

const assert = require('node:assert');
const { once } = require('node:events');
const net = require('node:net');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');

/** Returns the log of a process of the script. */
const seen = (script) =>
  script
    .events({ allProcesses: true })
    .filter(([name]) => name === 'seen')
    .map(([, what]) => what);

describe('a script whose servers listen and close', () => {
  let other, env, plain;

  before(async () => {
    other = net.createServer().listen(await freePort());
    await once(other, 'listening');
    env = { TAKEN: String(other.address().port) };
    const script = new Script('listen-order.js', { env });
    await script.ended();
    [plain] = seen(script);
    await script.cleanUp();
    const of = (name) => plain.filter((what) => what[0] === name);
    assert.deepStrictEqual(of('any port').slice(0, 1), [
      ['any port', true, { address: '::', family: 'IPv6', port: 'port 0' }, '6::::0'],
    ]);
    assert.match(
      of('taken by another').at(-1)[2],
      /^listen EADDRINUSE: address already in use :::port \d$/,
    );
    assert.deepStrictEqual(of('answer'), [['answer', 200]]);
    assert.deepStrictEqual(of('context'), [['context', 'of listen', true]]);
    assert.strictEqual(of('a handle of its own')[0][1], 'listening');
  });

  after(() => other.close());

  for (const [where, settings] of Object.entries({
    'a script of the command line': { cli: ['--workers', '2', '--mon-port', 'off'] },
    'a worker of a Cluster': { env: { API: 'yes' } },
  })) {
    it(`sees the same in ${where} as in plain Node`, async () => {
      const port = await freePort();
      const script = new Script('listen-order.js', {
        port,
        ...settings,
        env: { ...env, ...settings.env },
      });
      await script.until('both workers have seen it', () => seen(script).length === 2);
      for (const what of seen(script)) assert.deepStrictEqual(what, plain);
    });
  }
});
