'use strict';

// Node's debugger: with its flags on the master, each worker has its own debugger port, above the
// master's.

const assert = require('node:assert');
const { ask } = require('../helpers/ask');
const { Script } = require('../helpers/cluster');
const { goOn } = require('../helpers/debugger');
const { needNodeOf } = require('../helpers/node');
const { freePort, freePorts } = require('../helpers/ports');

const start = async (settings) =>
  new Script('debugger-port.js', { port: await freePort(), ...settings });
/**
 * The addresses of debuggers in the order in which processes became ready: `{ pid, port, execArgv
 * }`.
 */
const debuggers = (script) => {
  const whole = script.output.split('\n').slice(0, -1);
  const lines = whole.filter((line) => line.startsWith('event '));
  const told = lines
    .map((line) => JSON.parse(line.slice('event '.length)))
    .filter(({ event }) => event[0] === 'debugger');
  return told.map(({ from, event: [, port, execArgv] }) => ({ pid: from, port, execArgv }));
};
const ofWorkers = (script) => debuggers(script).filter(({ pid }) => pid !== script.pid);
const portsOf = (script) =>
  ofWorkers(script)
    .map(({ port }) => port)
    .sort();
const told = (script, count) =>
  script.until(`${count} workers have told`, () => ofWorkers(script).length === count);

describe('a worker’s debugger', () => {
  const ways = {
    '--inspect=<port>': (base) => ({ execArgv: [`--inspect=${base}`] }),
    '--inspect=<host>:<port>': (base) => ({ execArgv: [`--inspect=127.0.0.1:${base}`] }),
    '--inspect and --inspect-port <port>': (base) => ({
      execArgv: ['--inspect', '--inspect-port', String(base)],
    }),
    '--inspect in NODE_OPTIONS': (base) => ({ env: { NODE_OPTIONS: `--inspect=${base}` } }),
  };

  for (const [name, flags] of Object.entries(ways)) {
    it(`listens on its own port with ${name}, and has the master’s flags`, async () => {
      const base = await freePorts(3);
      const script = await start(flags(base));
      await told(script, 2);
      assert.deepStrictEqual(portsOf(script), [base + 1, base + 2]);
      for (const { execArgv } of ofWorkers(script))
        assert.deepStrictEqual(execArgv, flags(base).execArgv ?? []);
      assert.doesNotMatch(script.errors, /address already in use/);
    });
  }

  it('does not collide with that of its replacement, and its port is used again', async () => {
    const base = await freePorts(6);
    const script = await start({ execArgv: [`--inspect=${base}`] });
    await told(script, 2);
    for (let count = 4; count <= 8; count += 2) {
      assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 2 });
      await told(script, count);
      await script.until(
        'the old workers are gone',
        () => script.emitted('died').length === count - 2,
      );
    }
    assert.doesNotMatch(script.errors, /address already in use/);
    const ports = new Set(portsOf(script));
    assert.ok([...ports].every((port) => port > base && port <= base + 4), `${[...ports]}`);
  });

  it('uses a port of the kernel with --inspect=0', async () => {
    const script = await start({ execArgv: ['--inspect=0'] });
    await told(script, 2);
    const ports = debuggers(script).map(({ port }) => port);
    assert.ok(ports.every((port) => port > 0) && new Set(ports).size === ports.length, `${ports}`);
    assert.doesNotMatch(script.errors, /address already in use/);
  });

  it('can be on for workers only, by the option execArgv', async () => {
    const base = await freePorts(3);
    const script = await start({ options: { execArgv: [`--inspect=${base}`] } });
    await told(script, 2);
    assert.deepStrictEqual(portsOf(script), [base + 1, base + 2]);
  });

  it('stops each process before its first line with --inspect-brk', async function () {
    needNodeOf(this, 'inspect-brk');
    const base = await freePorts(3);
    const script = await start({ execArgv: [`--inspect-brk=${base}`] });
    for (const port of [base, base + 1, base + 2]) await goOn(port);
    await told(script, 2);
    script.kill('SIGTERM');
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('is off without such a flag', async () => {
    const script = await start({ execArgv: ['--no-warnings'] });
    await told(script, 2);
    assert.deepStrictEqual(portsOf(script), [0, 0]);
  });
});
