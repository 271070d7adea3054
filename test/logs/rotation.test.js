'use strict';

// Workers' log files and their rotation: no line is lost, split, or written twice.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { CLI, Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { need, run } = require('../helpers/tools');
const { until } = require('../helpers/wait');

const CONFIGURATION = fs.readFileSync(
  path.join(__dirname, '..', '..', 'examples', 'logrotate', 'cluster2'),
  'utf8',
);

async function start(options) {
  const script = new Script('numbered-lines.js', {
    port: await freePort(),
    options: { output: 'files', ...options },
  });
  return script.ready();
}

const logs = (script) => path.join(script.cwd, 'logs');
const files = (script) => fs.readdirSync(logs(script)).map((name) => path.join(logs(script), name));
const current = (script) => files(script).filter((file) => file.endsWith('.log'));
const descriptors = (pid) => [1, 2].map((fd) => fs.readlinkSync(`/proc/${pid}/fd/${fd}`));

/** Renames all files, as a rotation does. */
function rename(script, suffix) {
  for (const file of current(script)) fs.renameSync(file, `${file}.${suffix}`);
}

/**
 * Returns the numbers of each worker's lines in the files of one stream, in the order of `names`.
 */
function numbersOf(script, stream) {
  const age = (file) => Number(/\.log\.(\d+)$/.exec(file)?.[1] ?? 0);
  const own = files(script)
    .filter((file) => file.includes(`.${stream}.log`))
    .sort((a, b) => age(b) - age(a));
  const numbers = new Map();
  for (const line of own.flatMap((file) => fs.readFileSync(file, 'utf8').split(/(?<=\n)/))) {
    const [, pid, count, x] =
      /^(\d+) (\d+) (x*) end\n$/.exec(line) ?? assert.fail(`a broken line: ${line}`);
    assert.strictEqual(x.length, Number(count) % 200);
    numbers.set(pid, [...(numbers.get(pid) ?? []), Number(count)]);
  }
  return numbers;
}

/** Checks that no line is missing, duplicated or out of order. */
function assertComplete(script, workers) {
  for (const stream of ['out', 'err']) {
    const numbers = numbersOf(script, stream);
    assert.strictEqual(numbers.size, workers);
    for (const [pid, counted] of numbers)
      assert.deepStrictEqual(counted, [...counted.keys()], `${stream} of ${pid}`);
  }
}

describe('the logrotate configuration of the examples', () => {
  const rotate = CONFIGURATION.split('postrotate')[1].split('endscript')[0];
  const postrotate = (cwd) => {
    fs.mkdirSync(path.join(cwd, 'node_modules', '.bin'), { recursive: true });
    fs.symlinkSync(CLI, path.join(cwd, 'node_modules', '.bin', 'cluster2'));
    return spawnSync('sh', ['-c', rotate.replaceAll('/srv/app', cwd)], { encoding: 'utf8' });
  };

  it('does not end a master that writes no files: the command is refused', async () => {
    const script = await start({ output: 'inherit' });
    const { status, stderr } = postrotate(script.cwd);
    assert.strictEqual(status, 1);
    assert.match(stderr, /not writing log files/);
    assert.strictEqual((await script.status()).workers.length, 2);
  });

  it('succeeds if no cluster runs', () => {
    const cwd = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));
    try {
      assert.strictEqual(postrotate(cwd).status, 0);
    } finally {
      fs.rmSync(cwd, { recursive: true });
    }
  });
});

describe('the rotation of log files', () => {
  let logrotate;
  before(function () {
    [logrotate] = need(this, 'logrotate');
  });

  it('by logrotate with the example’s configuration loses no line, even in a reload', async () => {
    const script = await start();
    const configuration = path.join(script.cwd, 'rotate.conf');
    fs.mkdirSync(path.join(script.cwd, 'node_modules', '.bin'), { recursive: true });
    fs.symlinkSync(CLI, path.join(script.cwd, 'node_modules', '.bin', 'cluster2'));
    fs.writeFileSync(
      configuration,
      CONFIGURATION.replaceAll('/srv/app', script.cwd).replace(/^ *compress\n/m, ''),
    );
    const rotate = async () => {
      // logrotate leaves empty files in place.
      await script.until(
        'all files have lines',
        () =>
          current(script).length === 4 &&
          current(script).every((file) => fs.statSync(file).size > 0),
      );
      run(logrotate, ['--force', '--state', path.join(script.cwd, 'state'), configuration]);
      await script.until('all workers write into new files', () =>
        script.workers().every((pid) => descriptors(pid).every((file) => file.endsWith('.log'))));
    };
    for (let times = 0; times < 3; times++) await rotate();
    const reloaded = ask(script.cwd, 'reload');
    for (let times = 0; times < 4; times++) await rotate();
    assert.deepStrictEqual((await reloaded).ok, { replaced: 2 });
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
    assert.strictEqual(files(script).length, 4 * 8);
    assertComplete(script, 4);
    assert.strictEqual(script.errors, '');
  });

  it('is complete when reopenLogs() resolves: the old files do not grow', async () => {
    const script = await start();
    for (let times = 1; times <= 5; times++) {
      rename(script, 100 - times);
      assert.deepStrictEqual((await ask(script.cwd, 'reopenLogs')).ok, { workers: 2 });
      const opened = script.workers().flatMap(descriptors);
      assert.deepStrictEqual(opened.sort(), current(script).sort());
      const old = files(script).filter((file) => !file.endsWith('.log'));
      const sizes = () => old.map((file) => fs.statSync(file).size);
      const before = sizes();
      await until('the new files grow', () => opened.every((file) => fs.statSync(file).size > 0));
      assert.deepStrictEqual(sizes(), before);
    }
    script.kill();
    await script.ended();
    assertComplete(script, 2);
  });

  it('goes on with the old files and warns if the new ones cannot be opened', async () => {
    const script = await start();
    rename(script, 1);
    fs.symlinkSync('/dev/null', path.join(logs(script), 'worker-0.out.log'));
    assert.deepStrictEqual((await ask(script.cwd, 'reopenLogs')).ok, { workers: 2 });
    const warning =
      /^worker \d+ goes on with its old log files: cannot write .*worker-0\.out\.log: .*\(option 'logs'/;
    await script.until('it is reported', () =>
      script.emitted('warning').some(([{ message }]) => warning.test(message)),
    );
    const old = path.join(logs(script), 'worker-0.out.log.1');
    const { size } = fs.statSync(old);
    await until('the old file grows', () => fs.statSync(old).size > size);
  });

  it('is refused if workers write no files; SIGUSR2 then ends it, as in plain Node', async () => {
    const script = await start({ output: 'prefix' });
    const { error } = await ask(script.cwd, 'reopenLogs');
    assert.strictEqual(error.code, 'CLUSTER2_ERR_WRONG_STATE');
    assert.match(error.message, /not writing log files \(option 'output'\)/);
    script.kill('SIGUSR2');
    assert.deepStrictEqual(await script.ended(), { code: null, signal: 'SIGUSR2' });
  });
});
