'use strict';

// A script that knows nothing of us sees only one thing of being a spare: `listen()` takes longer.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { cluster2, startPlain } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { settled, serves } = require('../helpers/spares');

const start = (settings) =>
  startPlain({ file: 'spare.js', flags: ['--spares', '1'], ...settings });

/** The last event of each name that a worker has printed. */
const toldBy = (script, pid) => {
  const whole = script.output.split('\n').slice(0, -1);
  const lines = whole.filter((line) => line.startsWith('event '));
  const all = lines.map((line) => JSON.parse(line.slice('event '.length)));
  return Object.fromEntries(
    all.filter(({ from }) => from === pid).map(({ event: [name, told] }) => [name, told]),
  );
};

describe('a plain script in a spare', () => {
  it('has its address and no event `listening` until it is activated', async () => {
    const script = await start();
    const { ready, spares: [spare] } = await settled(script);
    const { port } = script;
    await script.until('it has told all', () => Object.keys(toldBy(script, spare)).length >= 4);
    const told = toldBy(script, spare);
    assert.deepStrictEqual(told, {
      called: { spare: '1', port, slot: '2', listening: true },
      closed: undefined,
      error: 'EADDRINUSE',
      turned: { listening: true },
    });
    process.kill(ready[0], 'SIGKILL');
    await serves(script, spare);
    await script.until('it has told the rest', () =>
      Object.keys(toldBy(script, spare)).length >= 7);
    const { random } = toldBy(script, ready[1]);
    assert.deepStrictEqual(toldBy(script, spare), {
      ...told,
      listens: { spare: null, port, slot: '2', context: 'mine' },
      random,
      local: 'local.sock',
    });
    process.kill(ready[1], 'SIGKILL');
    await settled(script);
    assert.match((await request(port, '/')).body, /^\d+$/);
  });

  it('makes a reload fail early if it does not start, and all others stay', async () => {
    const script = await start({ env: { BROKEN: 'broken' } });
    const broken = path.join(script.cwd, 'broken');
    const before = await settled(script);
    fs.writeFileSync(broken, '');
    const { status, stderr } = cluster2(script.cwd, 'reload');
    assert.strictEqual(status, 1);
    assert.match(stderr, /reload failed, .* stay: worker \d+ exited with code 1: .*broken; all slots run the old/);
    assert.deepStrictEqual(await settled(script), before);
    fs.rmSync(broken);
    const { stdout } = cluster2(script.cwd, 'reload');
    assert.strictEqual(stdout, 'all 3 workers are new\n');
    const after = await settled(script);
    const all = Object.values(before).flat();
    assert.deepStrictEqual(Object.values(after).flat().filter((pid) => all.includes(pid)), []);
  });

  it('goes on under another master after an upgrade', async () => {
    const script = await start();
    await settled(script);
    const { status, stderr } = cluster2(script.cwd, 'upgrade');
    assert.strictEqual(status, 0, stderr);
    const { spares: [spare], ready } = await settled(script);
    process.kill(ready[0], 'SIGKILL');
    await serves(script, spare);
  });

  it('is shown by `status`', async () => {
    const script = await start();
    await settled(script);
    const { stdout } = cluster2(script.cwd, 'status');
    assert.match(stdout, /^.+: all 2 workers are ready, with a spare\n/);
    assert.match(stdout, /^2 +\d+ +spare /m);
  });

  it('is refused for a script that does not listen', () => {
    const flags = ['--spares', '1', '--no-listen'];
    const { status, stderr } = cluster2(__dirname, 'start', ...flags, 'x.js');
    assert.strictEqual(status, 2);
    assert.match(stderr, /--spares must be 0 where/);
  });
});
