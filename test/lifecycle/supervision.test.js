'use strict';

// Whatever happens to a worker or the master, other clients do not notice.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { Script, isAlive } = require('../helpers/cluster');
const { holdRequests } = require('../helpers/held-requests');
const { Load, attempt } = require('../helpers/load');
const { freePort } = require('../helpers/ports');

const start = async (options, settings) =>
  new Script('commands.js', { port: await freePort(), options, ...settings }).ready(
    options?.noWorkers,
  );
const command = (...words) => encodeURIComponent(JSON.stringify(words));

/**
 * Sends requests at once, each on its own connection. Returns the time of the slowest and all
 * outcomes.
 */
async function burst(port, count) {
  const begun = performance.now();
  const attempts = await Promise.all(Array.from({ length: count }, () => attempt({ port })));
  return {
    took: performance.now() - begun,
    attempts,
    outcomes: new Set(attempts.map(({ outcome }) => outcome)),
  };
}

/** The number of connections to the port that the kernel has established. */
function established(port) {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = fs
    .readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  return lines.filter(([, local, , state]) => local?.endsWith(hex) && state === '01').length;
}

const isBlocking = (script) =>
  script.events({ allProcesses: true }).find(([name]) => name === 'blocking')?.[1];

describe('a worker that is killed under load', () => {
  it('is replaced, and costs only the requests that it had taken', async () => {
    const script = await start();
    const load = new Load(script.port, [{ clients: 8 }, { clients: 4, keepAlive: true }]);
    for (let round = 1; round <= 3; round++) {
      const [victim] = script.workers();
      process.kill(victim, 'SIGKILL');
      await script.until(
        'a replacement listens',
        () => script.emitted('listening').length === 2 + round,
      );
      const { ok } = load.counts;
      await script.until('the load goes on', () => load.counts.ok > ok + 50);
    }
    await load.stop();
    const { ok: _ok, reset, empty, ...never } = load.counts;
    assert.deepStrictEqual(
      never,
      { refused: 0, timeout: 0, failed: 0 },
      JSON.stringify(load.trouble),
    );
    assert.ok(
      reset + empty <= 3 * 12,
      `${reset + empty} requests failed; a worker had no more than one of each client`,
    );
    const ends = script.emitted('died').map(([, { signal, reason }]) => `${signal} ${reason}`);
    assert.deepStrictEqual(ends, Array(3).fill('SIGKILL crash'));
  });

  it('costs no connection that it had not taken', async () => {
    const script = await start();
    // Stopped workers take nothing: new connections stay in their channels.
    const victims = script.workers();
    victims.forEach((pid) => process.kill(pid, 'SIGSTOP'));
    const waiting = burst(script.port, 20);
    await script.until('the connections are accepted', () => established(script.port) >= 20);
    victims.forEach((pid) => process.kill(pid, 'SIGKILL'));
    const { outcomes } = await waiting;
    assert.deepStrictEqual([...outcomes], ['ok']);
  });

  it('spares the requests of the other worker', async () => {
    const script = await start();
    const held = await holdRequests(script);
    const [victim, other] = script.workers();
    process.kill(victim, 'SIGKILL');
    await script.until('its death is reported', () => script.emitted('died').length === 1);
    const ends = await Promise.allSettled(held.map((request) => request.finish()));
    const answered = ends.filter(({ status }) => status === 'fulfilled').map(({ value }) => value);
    assert.deepStrictEqual([...new Set(answered)], [other]);
    assert.ok(answered.length < held.length, 'the victim had some');
  });
});

/** A process that is started at once is there in so many milliseconds. */
const AT_ONCE = 75;

describe('a worker that dies again and again', () => {
  /** Kills a worker of a cluster whose later workers all end at once. */
  async function startLoop(WHEN) {
    const script = await new Script('crash-loop.js', {
      port: await freePort(),
      env: { WHEN },
    }).ready();
    process.kill(script.workers()[1], 'SIGKILL');
    return script;
  }

  /** The times from each death to the next fork. */
  async function pauses(script, deaths) {
    await script.until(
      'it has died often',
      () => script.emitted('forked at').length >= 2 + deaths,
      15_000,
    );
    const forked = script.emitted('forked at').slice(2);
    assert.ok(script.emitted('died at').every(([, reason]) => reason === 'crash'));
    return script
      .emitted('died at')
      .slice(0, deaths)
      .map(([at], index) => Math.round(forked[index][0] - at));
  }

  it('before it is ready is replaced at once at first, then with growing pauses', async () => {
    const script = await startLoop('start');
    const [killed, first, ...others] = await pauses(script, 6);
    assert.ok(killed < 75 && first < 75, `${killed} ${first}`);
    // A pause is at least three quarters of its nominal length, for it has jitter.
    [75, 150, 300, 600].forEach((least, index) =>
      assert.ok(others[index] >= least - 5, `${others}`),
    );
    assert.strictEqual((await script.status()).running, true, 'and the master lives');
  });

  it('after it was ready is replaced at once three times, and then within a second', async () => {
    const script = await startLoop('ready');
    const all = await pauses(script, 8);
    assert.ok(
      all.slice(0, 3).every((pause) => pause < 75),
      `${all}`,
    );
    [75, 150, 300, 600, 750].forEach((least, index) =>
      assert.ok(all[index + 3] >= least - 5, `${all}`),
    );
    assert.ok(
      all.every((pause) => pause < 1300),
      `${all}`,
    );
  });

  it('is replaced at once while no worker is ready or starting', async () => {
    const script = await startLoop('ready');
    await script.until('it pauses', () => script.emitted('died at').length >= 7);
    const before = script.emitted('forked at').length;
    const [other] = script.workers();
    process.kill(other, 'SIGKILL');
    const rest = 8;
    await script.until(
      'the others have died again and again too',
      () => script.emitted('forked at').length > before + rest,
    );
    // Where all that live are new, the next one came at once, though both slots have longer to
    // wait. It may have come before the death was known.
    const [forks, deaths] = ['forked at', 'died at'].map((name) => script.emitted(name));
    const lives = (at, pid) => !deaths.some(([died, , dead]) => dead === pid && died <= at);
    const isNew = (forked, at) => Math.abs(forked - at) < AT_ONCE;
    const last = deaths.map(([at]) => at).filter((at) =>
      forks.every(([forked, pid]) => forked > at - AT_ONCE || !lives(at, pid)));
    assert.ok(last.length >= 2, `${last}`);
    for (const at of last) assert.ok(forks.some(([forked]) => isNew(forked, at)), `${at}`);
  });

  it('does not delay the end of the cluster', async () => {
    const script = await startLoop('ready');
    await script.until('it pauses', () => script.emitted('died at').length >= 4);
    const { took } = await ask(script.cwd, 'shutdown', [{ wait: true }]);
    assert.ok(took < 1500, `took ${took} ms`);
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });
});

describe('scaling under load', () => {
  it('up and down loses no request', async () => {
    const script = await start();
    const load = new Load(script.port, [
      { clients: 4 },
      { clients: 4, keepAlive: true },
      { clients: 2, path: '/slow?50', keepAlive: true },
    ]);
    for (const size of [4, 1, 3, 2]) {
      await ask(script.cwd, 'scale', [size]);
      await script.until(`${size} workers are left, all ready`, async () => {
        const status = await script.status();
        return status.workers.length === size && status.workers.every(({ state }) => state === 'ready');
      });
    }
    await load.stop();
    load.assertOnly('ok');
    assert.ok(
      script.emitted('died').every(([, { code, reason }]) => code === 0 && reason === 'scale'),
    );
  });
});

describe('a worker whose event loop is blocked for four seconds', () => {
  it('delays only its own clients', async () => {
    const script = await start();
    const blocked = attempt({ port: script.port, path: `/worker?${command('block', 4000)}` });
    await script.until('a worker is stuck', () => isBlocking(script));
    const stuck = isBlocking(script);
    for (let round = 0; round < 3; round++) {
      const { took, attempts, outcomes } = await burst(script.port, 8);
      assert.deepStrictEqual([...outcomes], ['ok']);
      assert.ok(took < 2000, `took ${took} ms`);
      assert.ok(attempts.every(({ body }) => Number(body) !== stuck), 'the other worker answers');
    }
    assert.strictEqual((await blocked).outcome, 'ok', 'and it is not killed for it');
    await script.until('it is back', async () =>
      (await burst(script.port, 4)).attempts.some(({ body }) => Number(body) === stuck),
    );
  });
});

describe('a master whose event loop is blocked', () => {
  it('does not stop accepting, commands and replacing workers', async () => {
    const script = await start();
    const release = path.join(script.cwd, 'release');
    await attempt({ port: script.port, path: `/master?${command('blockUntil', release)}` });
    await script.until('the master is stuck', () => isBlocking(script));
    assert.deepStrictEqual([...(await burst(script.port, 20)).outcomes], ['ok']);
    const [victim] = script.workers();
    process.kill(victim, 'SIGKILL');
    await script.until('a replacement is ready', async () => {
      const status = await script.status();
      return status.workers.some(({ generation, state }) => generation === 2 && state === 'ready');
    });
    assert.deepStrictEqual([...(await burst(script.port, 20)).outcomes], ['ok']);
    assert.deepStrictEqual(script.emitted('blocked'), [], 'all that while it was stuck');
    fs.writeFileSync(release, '');
    await script.until(
      'it emits the missed events',
      () => script.emitted('died').length === 1 && script.emitted('listening').length === 3,
    );
  });
});

// Not `ended()`: the output stays open while workers live.
async function killMaster(script) {
  script.kill('SIGKILL');
  await script.exited();
}

describe('a master that is killed', () => {
  it('leaves workers that finish their requests, and a new cluster can start', async () => {
    const script = await start();
    const workers = script.workers();
    const held = await holdRequests(script);
    await killMaster(script);
    const next = await start(undefined, { port: script.port, cwd: script.cwd });
    assert.ok(workers.every(isAlive), 'they still answer');
    assert.strictEqual((await attempt({ port: next.port })).outcome, 'ok');
    const answers = await Promise.all(held.map((request) => request.finish()));
    assert.deepStrictEqual([...new Set(answers)].sort(), workers.sort());
    await next.until('they are gone', () => !workers.some(isAlive));
    await ask(next.cwd, 'stop');
    await next.ended();
    assert.deepStrictEqual(fs.readdirSync(next.pids), []);
  });

  it('leaves no stuck worker behind', async () => {
    const script = await start({ shutdownTimeout: 500 });
    const workers = script.workers();
    const stuck = attempt({ port: script.port, path: `/worker?${command('block', 60_000)}` });
    await script.until('a worker is stuck', () => isBlocking(script));
    await killMaster(script);
    await script.until('they are gone', () => !workers.some(isAlive), 5000);
    await stuck;
  });

  it('leaves idle workers that exit at once', async () => {
    const script = await start();
    const workers = script.workers();
    await killMaster(script);
    await script.until('they are gone', () => !workers.some(isAlive), 2000);
    assert.deepStrictEqual(await script.status(), { running: false });
  });
});
