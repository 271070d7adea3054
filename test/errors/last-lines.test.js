'use strict';

// The reason of a worker's end contains the last lines that it wrote to standard error. Standard
// error still gets them unchanged.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { cluster2 } = require('../helpers/cli');
const { Script } = require('../helpers/cluster');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { change, startServer, stopClock } = require('../helpers/hammered');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');

const WROTE = '; its last lines on stderr: ';
/** Code that writes numbered lines of at least `bytes` bytes together. */
const FLOOD = (bytes) => `
  for (let written = 0, i = 0; written < ${bytes}; i++) {
    const line = 'line ' + i + ' ' + 'x'.repeat(80) + '\\n';
    process.stderr.write(line);
    written += line.length;
  }`;

/** The end of the message of a failed reload: the state of the cluster. */
const LEFT = '; all slots run the old code';

/** Reloads to `code`, which fails. Returns the message without its end, and the script. */
async function reloadWith(code, running) {
  const script = running ?? (await startServer({ options: { startTimeout: 15_000 } }));
  const old = script.workers().sort();
  change(script, code);
  const { error } = await ask(script.cwd, 'reload');
  assert.strictEqual(error?.code, 'CLUSTER2_ERR_RELOAD_FAILED', JSON.stringify(error));
  await script.until('only the old workers are there', () => script.workers().length === 2);
  assert.deepStrictEqual(script.workers().sort(), old);
  assert.ok(error.message.endsWith(LEFT), error.message);
  return { reason: error.message.slice(0, -LEFT.length), script };
}

/** Stops the master's clock from the fork of the `nth` worker until workers have written `text`. */
const stopUntil = (script, nth, text) =>
  stopClock(script, nth, 'it has written', () => script.errors.includes(text));

/** Returns the reason of a failed reload whose first worker writes `text` and is never ready. */
async function lateReloadWith(code, text) {
  const settings = { port: await freePort(), options: { startTimeout: 1500 } };
  const script = new Script('hammered.js', settings);
  change(script, 'console.error("starting");');
  await stopUntil(script, 2, 'starting\nstarting\n');
  await script.ready(2);
  const [{ reason }] = await Promise.all([reloadWith(code, script), stopUntil(script, 3, text)]);
  return reason;
}

describe('the reason of a failed reload', () => {
  it('contains the exit code and the last lines', async () => {
    const code =
      'console.error("connecting to %s", "db:5432"); console.error("no answer"); process.exit(3);';
    const { reason, script } = await reloadWith(code);
    assert.match(
      reason,
      /worker \d+ exited with code 3; its last lines on stderr: connecting to db:5432 \| no answer$/,
    );
    await script.until(
      'the lines are on standard error',
      () => script.errors === 'connecting to db:5432\nno answer\n',
    );
    await script.until('its end is reported', () =>
      script.emitted('died').length > 0 && script.emitted('warning').length > 0);
    const [, death] = script.emitted('died')[0];
    assert.deepStrictEqual(death, { code: 3, signal: null, reason: 'crash' });
    assert.strictEqual(script.emitted('warning').at(-1)[0].message, reason + LEFT);
  });

  it('contains the signal that ended the worker', async () => {
    for (const signal of ['SIGKILL', 'SIGABRT', 'SIGTERM']) {
      const { reason } = await reloadWith(
        `console.error("out of luck"); process.kill(process.pid, "${signal}"); for (;;);`,
      );
      assert.match(
        reason,
        new RegExp(`worker \\d+ was ended by ${signal}; its last lines on stderr: out of luck$`),
      );
    }
  });

  it('contains the uncaught error and the lines before it', async () => {
    const { reason } = await reloadWith(
      'console.error("reading settings"); throw new Error("no database");',
    );
    assert.match(
      reason,
      /worker \d+ exited with code 1: Error: no database; its last lines on stderr: reading settings$/,
    );
  });

  it('contains the lines of a worker that never becomes ready', async () => {
    const code = 'console.error("waiting for godot"); exports.begin = () => {};';
    const reason = await lateReloadWith(code, 'waiting for godot\n');
    assert.match(
      reason,
      /worker \d+ was not ready in time; its last lines on stderr: waiting for godot$/,
    );
  });

  it('contains the lines of a worker whose event loop is stuck', async () => {
    const code = 'console.error("one"); console.error("two"); for (;;);';
    const reason = await lateReloadWith(code, 'one\ntwo\n');
    assert.match(reason, /worker \d+ was not ready in time; its last lines on stderr: one \| two$/);
  });

  it('contains only the end of a flood of lines, all of which reach standard error', async () => {
    // `exit()` loses output that Node has not written yet, with or without us.
    const end = 'process.stderr.write("the last\\n", () => process.exit(4));';
    const { reason, script } = await reloadWith(
      `${FLOOD(1 << 20)}\n${end}\nexports.begin = () => {};`,
    );
    const [, lines] = reason.split(WROTE);
    assert.match(reason, /exited with code 4/);
    assert.ok(lines.endsWith('x | the last'), lines);
    assert.ok(lines.length < 1100, `${lines.length} characters`);
    assert.ok(lines.split(' | ').length <= 10);
    await script.until('all is written', () => script.errors.endsWith('the last\n'));
    const numbers = script.errors
      .match(/line \d+ x{80}\n/g)
      .map((line) => Number(line.split(' ')[1]));
    assert.deepStrictEqual(numbers, [...numbers.keys()], 'in order, and none is missing');
    assert.ok(script.errors.length > 1 << 20);
  });

  it('contains the end of one line that is far too long, and no colours', async () => {
    const face = 'process.stderr.write("\\u{1f600}".repeat(50_000));';
    const code = `${face} process.stderr.write("\\x1b[31mred\\x1b[0m\\x07\\ttab\\n"); process.exit(4);`;
    const { reason } = await reloadWith(code);
    const [, lines] = reason.split(WROTE);
    assert.ok(lines.endsWith('\u{1f600}red tab'), lines.slice(-50));
    assert.ok([...lines].length <= 1000);
  });
});

describe('the reason of a failed first start', () => {
  it('contains the last lines', async () => {
    const script = new Script('hammered.js', { port: await freePort() });
    change(
      script,
      'if (require("cluster").isWorker) { console.error("no licence"); process.exit(9); }',
    );
    assert.deepStrictEqual(await script.ended(), { code: 255, signal: null });
    const [message] = script.untimed.split('\n').slice(-2);
    const reason =
      /worker \d+ exited with code 9; its last lines on stderr: no licence \(CLUSTER2_ERR_START_FAILED\)$/;
    assert.match(message, /^cluster2: no worker became ready: /);
    assert.match(message, reason);
  });
});

describe('standard error of a worker', () => {
  const say =
    'const say = (...event) => console.log(`event ${JSON.stringify({ from: process.pid, event })}`);';
  const heard = (script, name) =>
    script.events({ allProcesses: true }).find(([told]) => told === name)?.[1];

  it('gets the bytes unchanged, with encodings, callbacks and results of write', async () => {
    const script = await startServer({ options: { noWorkers: 1 } });
    change(script, `${say}
      const { stderr } = process;
      const returned = [stderr.write('text '), stderr.write('c3bc20', 'hex'), stderr.write(Buffer.from('fffe20', 'hex')), stderr.write('\\xe9 ', 'latin1')];
      const refused = () => { try { stderr.write(null); } catch ({ code }) { return code; } };
      const code = refused();
      stderr.write(new Uint8Array([98, 32]), () => stderr.write('last', 'utf8', () => say('written', { returned, code })));`,
    );
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
    await script.until(
      'all is written',
      () => heard(script, 'written') && script.errors.endsWith('last'),
    );
    assert.deepStrictEqual(heard(script, 'written'), {
      returned: [true, true, true, true],
      code: 'ERR_STREAM_NULL_VALUES',
    });
    // The two bytes that are not valid UTF-8, and the one of latin1, arrive as U+FFFD.
    assert.strictEqual(script.errors, 'text ü \ufffd\ufffd \ufffd b last');
  });

  it('is opened only by the app, for it costs half a millisecond', async () => {
    const script = await startServer({ options: { noWorkers: 1 } });
    change(script, `${say}
      const streams = () => process.getActiveResourcesInfo().filter((name) => name === 'PipeWrap').length;
      const before = streams();
      process.stderr.write('one\\n');
      say('streams', { opened: streams() - before });`);
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
    const streams = await script.until('it is reported', () => heard(script, 'streams'));
    assert.deepStrictEqual(streams, { opened: 1 });
    await script.until('it is written', () => script.errors === 'one\n');
  });

  it('may be frozen by the app, and the worker still becomes ready', async () => {
    const script = await startServer({ options: { noWorkers: 1 } });
    change(
      script,
      `Object.defineProperty(process, 'stderr', { configurable: false }); console.error('one'); console.error('two');`,
    );
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
    await script.until('it is written', () => script.errors === 'one\ntwo\n');
  });

  it('shows nothing of ours, and the app may wrap it', async () => {
    const script = await startServer({ options: { noWorkers: 1 } });
    change(script, `${say}
      const { stderr } = process;
      const { write } = stderr;
      const ours = ['write', 'end', 'emit'].filter((name) => Object.hasOwn(stderr, name));
      const seen = Object.keys(stderr).filter((name) => /write/i.test(name));
      const wrapped = (...args) => write.apply(stderr, args);
      stderr.write = wrapped;
      exports.load = (server) => server.on('request', () => say('wrapped', { still: stderr.write === wrapped, returned: stderr.write('late\\n'), ours, seen }));`,
    );
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
    await script.until('an answer', () =>
      fetch(`http://127.0.0.1:${script.port}/now/a/0`).then(() => heard(script, 'wrapped')),
    );
    assert.deepStrictEqual(heard(script, 'wrapped'), {
      still: true, returned: true, ours: [], seen: [],
    });
    await script.until('it is written', () => script.errors.includes('late\n'));
  });
});

// For each way to end and each kind of standard error. That stays of the same kind.
describe('the last lines of a worker that was ready', () => {
  let folder;
  beforeEach(() => (folder = emptyFolder()));
  afterEach(removeFolders);

  const SERVES = "require('http').createServer((_, r) => r.end()).listen(process.env.PORT);";
  const LATER = (code) => `${SERVES} setTimeout(() => { ${code} }, 100);`;

  /** Runs a cluster in whose first slot `code` runs, and returns how its last worker ended. */
  async function exitOf(code, { flags = [], ...settings } = {}) {
    const file = path.join(folder, 'app.js');
    fs.writeFileSync(file, LATER(code));
    const cli = ['--workers', '1', '--mon-port', 'off', ...flags];
    const script = new Script(file, { port: await freePort(), cli, cwd: folder, ...settings });
    const slot = await until('it crashed', async () => {
      const [first] = (await script.status().catch(() => undefined))?.slots ?? [];
      return first?.crashes > 0 && first;
    });
    return { script, ...slot.lastExit };
  }

  it('are known after exit(), a signal, and an event loop that is stuck', async () => {
    const say = 'console.error("connecting"); console.error("no %s", "answer");';
    for (const [end, how] of [
      ['process.exit(3);', { code: 3, signal: null }],
      ['process.kill(process.pid, "SIGKILL");', { code: null, signal: 'SIGKILL' }],
      ['process.abort();', { code: null, signal: 'SIGABRT' }],
      ['for (;;);', { code: null, signal: 'SIGKILL' }],
    ]) {
      const flags = end.startsWith('for') ? ['--max-heartbeat-delay', '1s'] : [];
      const { script, code, signal, lines } = await exitOf(`${say} ${end}`, { flags });
      assert.deepStrictEqual({ code, signal, lines }, { ...how, lines: ['connecting', 'no answer'] });
      await script.cleanUp();
    }
  });

  it('are known of a terminal, a pipe and a file, which stay what they are', async () => {
    const code = 'const { isTTY, constructor } = process.stderr; console.error(isTTY, constructor.name); process.exit(4);';
    for (const [command, line] of [
      ['exec script -qec "$0 $*" /dev/null', 'true WriteStream'],
      ['exec "$0" "$@"', 'undefined Socket'],
      ['exec "$0" "$@" 2>errors.log', 'undefined SyncWriteStream'],
    ]) {
      const { script, lines } = await exitOf(code, { through: ['sh', '-c', command] });
      assert.deepStrictEqual(lines, [line]);
      await script.cleanUp();
    }
  });

  it('are shown by status, before the uncaught error', async () => {
    const { lines } = await exitOf('console.error("connecting"); throw new Error("no answer");');
    assert.deepStrictEqual(lines.slice(0, 2), ['connecting', 'Error: no answer']);
    const { stdout } = cluster2(folder, 'status');
    assert.match(stdout, /^ {4}\| connecting\n {4}\| {5}at .*app\.js:1:\d+\)$/m);
  });
});
