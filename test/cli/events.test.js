'use strict';

// What happened to a cluster: `status().events`, `cluster2 events`, and the master's own lines.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { cluster2, startPlain } = require('../helpers/cli');
const { CLI } = require('../helpers/cluster');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { until, within } = require('../helpers/wait');

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
/** The objects of the complete lines. */
const jsonLines = (text) => text.split('\n').slice(0, -1).map((line) => JSON.parse(line));

describe('cluster2 events', () => {
  it('prints what happened, with time, type and slot, as `status()` has it', async () => {
    const script = await startPlain({ flags: ['--ecv-control'] });
    const [pid] = script.workers();
    process.kill(pid, 'SIGKILL');
    await script.ready(3);
    for (const command of [['reload'], ['ecv', 'disable'], ['ecv', 'enable']]) {
      assert.strictEqual(cluster2(script.cwd, ...command).status, 0);
      // Ends of old workers come at any time after a reload.
      await script.until('all ends are reported', async () =>
        (await script.status()).events.filter(({ type }) => type === 'exit').length === 3);
    }
    const { events } = await script.status();
    const all = jsonLines(cluster2(script.cwd, 'events', '--json').stdout);
    assert.deepStrictEqual(all, events);
    assert.deepStrictEqual(events.map(({ seq }) => seq), events.map((_, index) => index + 1));
    assert.ok(events.every(({ time }) => TIME.test(time)), JSON.stringify(events));
    const exit = events.find((event) => event.pid === pid && event.type === 'exit');
    assert.deepStrictEqual(
      [exit.level, exit.message],
      ['error', `worker ${pid} is gone (crash, SIGKILL)`],
    );
    const told = (type) => events.filter((event) => event.type === type);
    assert.strictEqual(told('start').length, 5);
    assert.strictEqual(told('ready').length, 5);
    assert.ok([...told('start'), ...told('ready'), ...told('exit')].every(({ slot }) => slot < 2));
    assert.deepStrictEqual(
      told('reload').map(({ message }) => message.replace(/worker \d+/, 'worker N')),
      [
        'reload 1 of 2: replacing worker N in slot 0',
        'reload 2 of 2: replacing worker N in slot 1',
        'reload: all 2 workers are new',
      ],
    );
    assert.deepStrictEqual(
      told('switch').map(({ level, message }) => [level, message]),
      [
        ['warn', 'out of rotation: switched off by a command'],
        ['info', 'in rotation again'],
      ],
    );
    const lines = cluster2(script.cwd, 'events').stdout.trim().split('\n');
    assert.strictEqual(lines.length, events.length);
    assert.match(lines[0], /^\d{4}-\S+Z {2}start +[01] {2}worker \d+ was started$/);
    assert.match(lines.at(-1), /Z {2}switch +- {2}in rotation again$/);
  });

  it('--follow goes on until the cluster ends', async () => {
    const script = await startPlain();
    const follow = spawn(CLI, ['events', '--follow', '--json'], { cwd: script.cwd });
    let seen = '';
    follow.stdout.on('data', (text) => (seen += text));
    const ended = new Promise((resolve) => follow.on('close', resolve));
    await until('the earlier events are there', () => seen.split('\n').length > 4);
    const [pid] = script.workers();
    process.kill(pid, 'SIGKILL');
    await until('the exit is reported', () =>
      jsonLines(seen).some((event) => event.pid === pid && event.type === 'exit'),
    );
    script.kill();
    assert.strictEqual(await within('it ends', ended, 10_000), 3);
    assert.strictEqual(cluster2(script.cwd, 'events').status, 3);
  });
});

describe('the lines of cluster2 start', () => {
  afterEach(removeFolders);

  it('begin with the time, where nothing else adds it', async () => {
    const script = await startPlain();
    const lines = script.errors.trim().split('\n');
    for (const line of lines) {
      const [time, name] = line.split(' ');
      assert.deepStrictEqual([TIME.test(time), name], [true, 'cluster2:'], line);
    }
  });

  it('have no time on a terminal, and in the journal', async () => {
    const folder = emptyFolder();
    const log = path.join(folder, 'log');
    fs.writeFileSync(log, '');
    fs.writeFileSync(path.join(folder, 'app.js'), 'setInterval(() => {}, 1000);');
    const { dev, ino } = fs.statSync(log);
    const start = (stream) =>
      `JOURNAL_STREAM=${stream} ${CLI} start --mon-port off --workers 1 --start-timeout 1 app.js`;
    const run = async (command) => {
      const child = spawn('sh', ['-c', command], { cwd: folder });
      await within('it ends', new Promise((resolve) => child.on('close', resolve)));
    };
    await run(`${start(`${dev}:${ino}`)} 2> ${log}`);
    assert.match(fs.readFileSync(log, 'utf8'), /^cluster2: 1 worker of app\.js/m);
    await run(`${start('1:2')} 2> ${log}`);
    assert.match(fs.readFileSync(log, 'utf8'), /^\d{4}-\S+Z cluster2: 1 worker of app\.js/m);
  });

  it('are objects with --log-format json, also the reason of a failed start', async () => {
    const script = await startPlain({ flags: ['--log-format', 'json'] });
    const ready = jsonLines(script.errors).filter(({ type }) => type === 'ready');
    assert.deepStrictEqual(ready.map(({ slot }) => slot).sort(), [0, 1]);
    const [{ time, level, pid, message }] = ready;
    assert.deepStrictEqual([TIME.test(time), level], [true, 'info']);
    assert.strictEqual(
      message, `worker ${pid} is ready, listening on 127.0.0.1:${script.port}`,
    );
    assert.strictEqual(jsonLines(script.errors)[0].type, 'note');
    const second = cluster2(script.cwd, 'start', 'x.js', '--log-format', 'json');
    assert.strictEqual(second.status, 2);
    const [failure] = jsonLines(second.stderr);
    assert.deepStrictEqual([failure.type, failure.level], ['failure', 'error']);
    assert.match(failure.message, /^there is no script /);
  });
});
