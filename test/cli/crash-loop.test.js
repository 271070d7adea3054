'use strict';

// Workers that die again and again: `status()`, the command line and the metrics show it, and why
// the last one died.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { cluster2 } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');

const SERVES = "require('http').createServer((_, r) => r.end()).listen(process.env.PORT);\n";
/** A script that ends soon after it is ready. */
const THROWS = `${SERVES}console.error('connecting');
setTimeout(() => { throw new Error('the database is gone'); }, 100);`;
/** A script that ends before it is ready: the waits grow. */
const FAILS = "console.error('reading settings'); console.error('no licence'); process.exit(9);";

describe('a crash loop', () => {
  let folder;
  beforeEach(() => (folder = emptyFolder()));
  afterEach(removeFolders);

  /** Starts a cluster whose first worker serves. Later workers run `code`. */
  async function start(code, ...flags) {
    const file = path.join(folder, 'app.js');
    fs.writeFileSync(file, SERVES);
    const cli = ['--workers', '1', ...flags];
    const script = await new Script(file, { port: await freePort(), cli, cwd: folder }).ready(1);
    fs.writeFileSync(file, code);
    process.kill(script.workers()[0], 'SIGKILL');
    return script;
  }

  /** Waits until the slot waits after at least `crashes` crashes. Returns the status. */
  const waiting = (script, crashes) =>
    until('the slot waits', async () => {
      const status = await script.status();
      const [slot] = status.slots;
      return slot.state === 'waiting' && slot.crashes >= crashes && status;
    });

  it('of workers that are never ready: status shows the wait and the last exit', async () => {
    const monPort = await freePort();
    const script = await start(FAILS, '--mon-port', String(monPort));
    const { slots, workers, ecv } = await waiting(script, 4);
    const [{ lastExit, nextStart, restarts, crashes, pid }] = slots;
    assert.deepStrictEqual([workers, pid], [[], null]);
    assert.ok(Date.parse(nextStart) > Date.parse(lastExit.at), nextStart);
    assert.ok(restarts >= crashes - 1, `${restarts} ${crashes}`);
    const { at, pid: last, ...how } = lastExit;
    assert.deepStrictEqual(how, {
      code: 9, signal: null, reason: 'crash', error: null,
      lines: ['reading settings', 'no licence'],
    });
    assert.ok(last > 0 && !Number.isNaN(Date.parse(at)));
    assert.strictEqual(ecv.unavailable, 'no worker is ready');

    // It waits again and again, and starts a worker in between.
    const stdout = await until('the command line says so', () => {
      const shown = cluster2(folder, 'status').stdout;
      return /^0 +- +waiting/m.test(shown) && shown;
    });
    const [first, second] = stdout.split('\n');
    assert.match(first, /: NO WORKER IS READY, of 1$/);
    assert.strictEqual(second, 'health check WARNING: no worker is ready');
    assert.match(stdout, /^0 +- +waiting \d+s +- .* \d+$/m);
    assert.match(
      stdout.replaceAll('\n    ', ' '),
      /^slot 0: waiting, the next worker starts (?:now|in \d+s); \d+ crashes; worker \d+ ended \d+ s ago \(crash, exit code 9\) \| reading settings \| no licence$/m,
    );
    assert.ok(stdout.split('\n').every((line) => line.length <= 80), stdout);

    const body = await until('the metrics say so', async () => {
      const metrics = (await request(monPort, '/metrics')).body;
      return /^cluster2_worker_state\{slot="0",state="waiting"\} 1$/m.test(metrics) && metrics;
    });
    for (const series of [
      /^cluster2_workers_ready 0\.0$/m,
      /^cluster2_worker_crashes_total\{slot="0"\} ([4-9]|\d\d)$/m,
      /^cluster2_worker_next_start_timestamp_seconds\{slot="0"\} \d{10}/m,
      /^cluster2_worker_last_exit_timestamp_seconds\{slot="0",reason="crash",code="9",signal=""\} \d{10}/m,
    ])
      assert.match(body, series);
  });

  it('of workers that were ready: status shows the error that ended them', async () => {
    const script = await start(THROWS, '--mon-port', 'off');
    const { lastExit } = await until('some died', async () => {
      const [slot] = (await script.status()).slots;
      return slot.crashes >= 3 && slot;
    });
    assert.strictEqual(lastExit.error, 'Error: the database is gone');
    assert.deepStrictEqual([lastExit.code, lastExit.reason], [1, 'crash']);
    const [before, error, place] = lastExit.lines;
    assert.deepStrictEqual([before, error], ['connecting', 'Error: the database is gone']);
    assert.match(place, /^ +at .*app\.js:3:\d+\)$/);
    const exits = (await script.status()).events.filter(({ type }) => type === 'exit');
    const { level, slot, message } = exits.at(-1);
    assert.deepStrictEqual([level, slot], ['error', 0]);
    assert.match(message, /^worker \d+ is gone \(crash, exit code 1\): Error: the database is gone$/);
  });

  it('of workers that write into files: status shows the last lines', async () => {
    const script = await start(
      `${SERVES}setTimeout(() => { require('fs').writeSync(2, 'out of ideas\\n'); process.exit(7); }, 100);`,
      '--mon-port', 'off', '--output', 'files',
    );
    const lines = await until('some died', async () => {
      const [slot] = (await script.status()).slots;
      return slot.crashes >= 3 && slot.lastExit.lines;
    });
    assert.deepStrictEqual(lines, ['out of ideas']);
  });

  it('counts crashes apart from reloads', async () => {
    const script = await start(SERVES, '--mon-port', 'off');
    const counts = async () => {
      const { slots, workers } = await script.status();
      const [{ restarts, crashes, state }] = slots;
      assert.strictEqual(workers[0]?.crashes ?? crashes, crashes);
      return { restarts, crashes, state };
    };
    const replaced = await until('it is replaced', async () => {
      const now = await counts();
      return now.crashes > 0 && now.state === 'ready' && now;
    });
    assert.deepStrictEqual(replaced, { restarts: 1, crashes: 1, state: 'ready' });
    assert.strictEqual(cluster2(folder, 'reload').status, 0);
    assert.deepStrictEqual(await counts(), { restarts: 2, crashes: 1, state: 'ready' });
  });
});
