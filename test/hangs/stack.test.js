'use strict';

// What a worker executes is shown, above all while its event loop is stuck.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const Cluster = require('../..');
const { cluster2, startPlain } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { elapse } = require('../helpers/wait');

const FIXTURE = path.join(__dirname, '..', 'fixtures', 'blocks.js');
const LINES = fs.readFileSync(FIXTURE, 'utf8').split('\n');

/** The first and the last line of the method that blocks in this way. */
function linesOf(kind) {
  const first = LINES.indexOf(`  ${kind}() {`);
  return [first + 1, LINES.indexOf('  },', first) + 1];
}

async function start(options = {}, settings = {}) {
  const port = await freePort();
  const script = await new Script('blocks.js', { port, options, ...settings }).ready(
    options.noWorkers ?? 1,
  );
  execFileSync('mkfifo', [path.join(script.cwd, 'fifo')]);
  return script;
}

const blocking = (script) =>
  script
    .events({ allProcesses: true })
    .filter(([name]) => name === 'blocking')
    .map(([, kind]) => kind);

async function block(script, kind) {
  const lost = request(script.port, `/block/${kind}`).catch(() => {});
  await script.until(`a worker is blocked by ${kind}`, () => blocking(script).includes(kind));
  return lost;
}

/** Whether a frame is in the method that blocks in this way. */
function isIn({ file, line }, kind) {
  const [first, last] = linesOf(kind);
  return file === FIXTURE && line >= first && line <= last;
}

const isInMethod =
  (kind) =>
  ({ frames }) =>
    frames.some((frame) => isIn(frame, kind));
const hasWaited = ({ waiting }) => waiting !== null;

/** Blocks in JavaScript, which can be interrupted. */
const INTERRUPTED = [
  'loop',
  'loopWork',
  'regex',
  'regexGlobal',
  'jsonStringify',
  'scrypt',
  'gc',
  'deep',
  'getter',
];
/** These too, in code outside of the script's functions. */
const OTHERS = {
  wasm: ({ function: name, file }) => /spin/.test(name) && file.startsWith('wasm:'),
  vm: ({ function: name, file, line }) => name === 'spin' && file === 'sandbox.vm' && line === 1,
  microtasks: (frame) => isIn(frame, 'microtasks') || /task_queues/.test(frame.file),
  nextTick: (frame) => isIn(frame, 'nextTick') || /task_queues/.test(frame.file),
};
/** Blocks in native code, which only some versions of Node can interrupt. */
const NATIVE = ['sort', 'pbkdf2', 'jsonParse', 'atomics'];

/**
 * Blocks a worker, and returns what it executes as soon as `isRight` accepts that: answers may come
 * before the block has begun. Kills the worker then.
 */
async function executing(script, kind, isRight) {
  const cluster = new Cluster({ pids: script.pids });
  const listening = script.emitted('listening').length;
  const lost = block(script, kind);
  await script.until('it is blocked', () => blocking(script).includes(kind));
  const { workers } = await cluster.status();
  const { pid } = workers.find(({ requests }) => requests.active === 1);
  let shown;
  const isShown = async () => isRight((shown = await cluster.stack(pid)));
  await script.until(`${kind} is shown`, isShown).catch((error) => {
    throw new Error(`${error.message.split('\n')[0]}: ${JSON.stringify(shown, null, 1)}`);
  });
  process.kill(pid, 'SIGKILL');
  await lost;
  await script.ready(listening + 1);
  assert.strictEqual(shown.pid, pid);
  assert.ok(shown.gc.runs >= 0, JSON.stringify(shown.gc));
  return shown;
}

describe('what a stuck worker executes', function () {
  this.timeout(40_000);

  it('is the function and the line, where JavaScript can be interrupted', async () => {
    const script = await start({ noWorkers: 3 });
    for (const kind of INTERRUPTED) {
      const { stack, waiting, heap } = await executing(script, kind, isInMethod(kind));
      assert.match(stack, /^ {4}at .*\n(.*\n)* {4}at (handleRequest|down) \(/);
      assert.strictEqual(waiting, null);
      assert.ok(heap.used > 1e6 && heap.limit > heap.used, JSON.stringify(heap));
    }
    for (const [kind, isRight] of Object.entries(OTHERS)) {
      await executing(script, kind, ({ frames }) => frames.some(isRight));
    }
  });

  it('is native code where it cannot, or the child process or system call', async () => {
    const script = await start({ noWorkers: 3 });
    for (const kind of NATIVE) {
      const reasons = ['native code', 'garbage collection'];
      if (kind === 'atomics') reasons.push('system call');
      const isNative = ({ waiting }) => reasons.includes(waiting?.reason);
      const { stack, waiting } = await executing(
        script,
        kind,
        (shown) => isNative(shown) || isInMethod(kind)(shown),
      );
      assert.strictEqual(stack === null, waiting !== null);
    }
    const { waiting: child } = await executing(script, 'execSync', hasWaited);
    assert.strictEqual(child.reason, 'child process');
    assert.match(child.child.command, /sleep 61/);
    process.kill(child.child.pid, 'SIGKILL');
    const { waiting: file } = await executing(script, 'fifo', hasWaited);
    assert.deepStrictEqual(file, { reason: 'system call', call: 'openat', file: 'fifo' });
  });
});

describe('what a worker executes', () => {
  it('is waiting for events, if it is idle', async () => {
    const script = await start({ noWorkers: 2 });
    const { status, stdout } = cluster2(script.cwd, 'stack');
    assert.strictEqual(status, 0);
    assert.match(stdout, /^(worker \d+.*: waiting for events\n){2}$/);
    const shown = JSON.parse(cluster2(script.cwd, 'stack', '--json').stdout);
    assert.deepStrictEqual(shown.map(({ pid }) => pid).sort(), script.workers().sort());
    const { status: unknown, stderr } = cluster2(script.cwd, 'stack', '1');
    assert.strictEqual(unknown, 1);
    assert.match(stderr, /CLUSTER2_ERR_WORKER_UNKNOWN/);
  });

  it('is reported with `unresponsive`, before the kill, and again with `died`', async () => {
    const script = await start({ maxHeartbeatDelay: 1000 });
    await block(script, 'loop');
    await script.until('it is killed', () => script.emitted('died').length === 1);
    const [[pid, { age, stack, frames, waiting, heap, gc }]] = script.emitted('unresponsive');
    assert.ok(age > 1000 && age < 3500, `${age}`);
    assert.ok(isIn(frames[0], 'loop') && stack.startsWith('    at loop ('), stack);
    assert.ok(waiting === null && heap.used > 0 && gc.runs >= 0);
    const [[who, death]] = script.emitted('died');
    assert.deepStrictEqual(
      [who, death],
      [pid, { code: null, signal: 'SIGKILL', reason: 'unresponsive', stack, waiting: null }],
    );
  });

  it('is shown by the command line on indented lines', async () => {
    const script = await startPlain({ flags: ['--max-heartbeat-delay', '1000'] });
    request(script.port, '/block/b/60000').catch(() => {});
    await script.until('it is killed', () => /is gone \(unresponsive/.test(script.errors));
    assert.match(
      script.errors,
      /worker \d+ hangs, .* for \d+ ms; it is replaced\. It is executing\n {4}at block \(.*\)\n/,
    );
    assert.match(script.errors, /is gone \(unresponsive, SIGKILL\); it was executing block \(.*\)\n/);
  });

  it('delays the kill by a second at most, where it cannot be interrupted', async () => {
    const script = await start({ maxHeartbeatDelay: 1000 });
    await block(script, 'pbkdf2');
    await script.until('it is killed', () => script.emitted('died').length === 1);
    const [[, { age, stack, waiting }]] = script.emitted('unresponsive');
    assert.ok(age > 1000 && age < 1000 + 250 + 1000 + 500, `${age}`);
    assert.deepStrictEqual([stack, waiting], [null, { reason: 'native code' }]);
    const [[, death]] = script.emitted('died');
    assert.deepStrictEqual(death.waiting, waiting);
  });

  it('is the function of a system call, in a worker about to be killed', async function () {
    // Registers are read only there.
    if (process.arch !== 'x64') this.skip();
    for (const [kind, call] of [['fifo', 'openat'], ['execSync', undefined]]) {
      const script = await start({ maxHeartbeatDelay: 1000 });
      await block(script, kind);
      await script.until('it is killed', () => script.emitted('died').length === 1);
      const [[, { stack, frames, waiting }]] = script.emitted('unresponsive');
      assert.ok(frames.some((frame) => isIn(frame, kind)), stack);
      if (waiting.child) process.kill(waiting.child.pid, 'SIGKILL');
      const reason = call ? 'system call' : 'child process';
      assert.deepStrictEqual([waiting.reason, waiting.call], [reason, call ?? waiting.call]);
      const [[, death]] = script.emitted('died');
      assert.deepStrictEqual(
        [death.signal, death.reason, death.stack, death.waiting],
        ['SIGKILL', 'unresponsive', stack, waiting],
      );
    }
  });
});

describe('the option blockedAfter', () => {
  it('reports each block once, with what is executed, and kills nothing', async () => {
    const script = await start({ blockedAfter: 400 });
    const began = performance.now();
    await block(script, 'short');
    const [[pid, { duration, frames, stack }], ...others] = await script.until(
      'it is reported',
      () => script.emitted('blocked').length > 0 && script.emitted('blocked'),
    );
    assert.deepStrictEqual([pid, others], [script.workers()[0], []]);
    // Its last beat was at most one sample before the block.
    const most = performance.now() - began + 1000;
    assert.ok(duration >= 400 && duration < most, `${duration} of ${most}`);
    assert.ok(frames.some((frame) => isIn(frame, 'short')), stack);
    await script.until('the block is over', async () => {
      const [{ requests }] = (await script.status()).workers;
      return requests.active === 0;
    });
    assert.strictEqual(script.emitted('blocked').length, 1);
    assert.deepStrictEqual(script.emitted('died'), []);
  });

  it('reports a block of native code with at least that duration, even if it is over', async () => {
    const script = await start({ blockedAfter: 200 });
    await block(script, 'shortNative');
    const [[, { duration, frames, waiting }]] = await script.until(
      'it is reported',
      () => script.emitted('blocked').length > 0 && script.emitted('blocked'),
    );
    assert.ok(duration >= 200, `${duration}`);
    // The interrupt comes as soon as the native function returns to the one that called it.
    const isCaller = frames.some((frame) => isIn(frame, 'shortNative'));
    assert.ok(isCaller || waiting?.reason === 'native code', JSON.stringify({ frames, waiting }));
  });

  it('does not report an idle worker', async () => {
    const script = await start({ blockedAfter: 100 });
    await elapse(2000, 'twenty times the limit');
    assert.deepStrictEqual(script.emitted('blocked'), []);
  });
});
