'use strict';

// `cluster2 logs`: the last lines of the files in the logs directory, and new lines.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { cluster2, startPlain } = require('../helpers/cli');
const { CLI } = require('../helpers/cluster');
const { until } = require('../helpers/wait');

describe('cluster2 logs', () => {
  let folder;
  beforeEach(() => (folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'))));
  afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

  const write = (name, content) => fs.writeFileSync(path.join(folder, name), content);
  const logs = (...args) => cluster2(folder, 'logs', ...args);

  beforeEach(() => {
    fs.mkdirSync(path.join(folder, 'logs'));
    write('logs/one.log', Array.from({ length: 30 }, (_, line) => `one ${line}\n`).join(''));
  });

  it('shows the last lines of one file unchanged, and those of several with file names', () => {
    assert.strictEqual(logs('-n', '2').stdout, 'one 28\none 29\n');
    assert.strictEqual(logs().stdout.split('\n').length, 21);
    write('logs/two.log', 'two\n');
    const { stdout } = logs('--tail', '1');
    assert.match(
      stdout,
      /^==> (one|two)\.log <==\n(one 29|two)\n\n==> (one|two)\.log <==\n(one 29|two)\n$/,
    );
    assert.strictEqual(logs('two.log').stdout, 'two\n');
    assert.match(logs('--list').stdout, /^ *\d+ B +\d+ s ago {2}(one|two)\.log$/m);
  });

  it('--follow shows new lines', async () => {
    const follow = spawn(CLI, ['logs', '-n', '1', '--follow', 'one.log'], { cwd: folder });
    try {
      let seen = '';
      follow.stdout.on('data', (text) => (seen += text));
      await until('the last line is there', () => seen === 'one 29\n');
      fs.appendFileSync(path.join(folder, 'logs/one.log'), 'more\n');
      await until('the next one is there', () => seen === 'one 29\nmore\n');
    } finally {
      follow.kill();
      await new Promise((resolve) => follow.on('close', resolve));
    }
  });

  it('--follow merges whole lines of all files as they are written, with their files', async () => {
    write('logs/one.log', '');
    write('logs/worker-0.out.log', 'there\n');
    write('logs/worker-1.err.log', '');
    write('logs/one.log.1', 'rotated\n');
    write('logs/one.log.2.gz', 'compressed');
    const follow = spawn(CLI, ['logs', '--follow'], { cwd: folder });
    const add = (name, text) => fs.appendFileSync(path.join(folder, 'logs', name), text);
    try {
      let seen = '';
      follow.stdout.on('data', (text) => (seen += text));
      const sees = (text) => until(`it shows ${text}`, () => seen === text);
      await sees('0 out   | there\n');
      add('worker-1.err.log', 'half');
      add('one.log', 'whole\n');
      await sees('0 out   | there\none.log | whole\n');
      add('worker-1.err.log', ' and half\n');
      await sees('0 out   | there\none.log | whole\n1 err   | half and half\n');
    } finally {
      follow.kill();
      await new Promise((resolve) => follow.on('close', resolve));
    }
  });

  it('--follow begins with the lines that are there, in the order of their times', async () => {
    write('logs/one.log', '2026-01-31T12:00:02Z b\n    at b.js:1\n2026-01-31T12:00:04Z d\n');
    write('logs/worker-0.out.log', '{"time":1769860801000,"msg":"a"}\n{"time":1769860803000,"msg":"c"}\n');
    write('logs/worker-0.err.log', 'without a time\nbegun');
    const follow = spawn(CLI, ['logs', '--follow'], { cwd: folder });
    try {
      let seen = '';
      follow.stdout.on('data', (text) => (seen += text));
      const there = [
        '0 out   | {"time":1769860801000,"msg":"a"}',
        'one.log | 2026-01-31T12:00:02Z b',
        'one.log |     at b.js:1',
        '0 out   | {"time":1769860803000,"msg":"c"}',
        'one.log | 2026-01-31T12:00:04Z d',
        '0 err   | without a time',
      ];
      await until('all is there', () => seen === `${there.join('\n')}\n`).catch((error) => {
        throw new Error(`${error.message}\n${seen}`);
      });
      fs.appendFileSync(path.join(folder, 'logs/worker-0.err.log'), ' and ended\n');
      await until('the rest comes', () => seen.endsWith('\n0 err   | begun and ended\n'));
    } finally {
      follow.kill();
      await new Promise((resolve) => follow.on('close', resolve));
    }
  });

  it('leaves out rotated and compressed files, unless they are named', () => {
    write('logs/one.log-20260131', 'rotated\n');
    write('logs/one.log.3.zst', 'compressed');
    assert.strictEqual(logs('-n', '1').stdout, 'one 29\n');
    assert.strictEqual(logs('one.log-20260131').stdout, 'rotated\n');
    assert.match(logs('--list').stdout, /one\.log\.3\.zst$/m);
  });

  it('says where the output of a running cluster goes instead', async () => {
    const script = await startPlain();
    const { status, stderr } = cluster2(script.cwd, 'logs', '--logs', '.', '--pids', 'pids');
    assert.strictEqual(status, 0, stderr);
    fs.mkdirSync(path.join(script.cwd, 'logs'), { recursive: true });
    const none = cluster2(script.cwd, 'logs');
    assert.strictEqual(none.status, 1);
    assert.match(
      none.stderr,
      /there are no files in the logs directory .*; the output of the cluster's workers goes to a (pipe|socket)/,
    );
  });

  it('shows no file outside of the directory, and names a missing one', () => {
    write('secret', 'secret');
    for (const name of ['../secret', 'missing.log']) {
      const { status, stdout, stderr } = logs(name);
      assert.deepStrictEqual([status, stdout], [1, '']);
      assert.ok(
        stderr.startsWith(`cluster2: cannot read the log ${folder}/logs/${name}: `),
        stderr,
      );
      assert.match(stderr, /there is no such file in .*\/logs; `cluster2 logs --list` shows all$/m);
    }
    assert.match(
      cluster2(folder, 'logs', '--logs', 'none').stderr,
      /^cluster2: cannot read the logs directory .*\/none: No such file/,
    );
  });
});
