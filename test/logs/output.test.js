'use strict';

// The option `output`: where standard output and error of workers go.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { change, startServer } = require('../helpers/hammered');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');

const log = (script, slot, stream) => path.join(script.cwd, 'logs', `worker-${slot}.${stream}.log`);
const read = (...where) => fs.readFileSync(log(...where), 'utf8');

/** Starts a server with one worker, which runs `code` first. */
async function running(code, options) {
  const script = new Script('hammered.js', {
    port: await freePort(),
    options: { noWorkers: 1, ...options },
  });
  change(script, `if (require('cluster').isWorker) { ${code} }`);
  return script.ready(1);
}

/** Checks that the start fails with one line. */
async function fails(prepare) {
  const script = new Script('http.js', {
    port: await freePort(),
    options: { output: 'files' },
    cwd: prepare(),
  });
  assert.deepStrictEqual(await script.ended(), { code: 255, signal: null }, script.output);
  return script.untimed;
}

describe("output: 'inherit'", () => {
  it('is the default: workers write unchanged where the master writes, and no file', async () => {
    const script = await running('console.log("to stdout"); console.error("to stderr");');
    await script.until(
      'it is there',
      () => script.output.includes('to stdout\n') && script.errors === 'to stderr\n',
    );
    // The original cluster2 makes the directory too, for the app's own files.
    assert.deepStrictEqual(fs.readdirSync(path.join(script.cwd, 'logs')), []);
  });
});

describe("output: 'prefix'", () => {
  it('starts each line with slot and pid, however it is written', async () => {
    const script = await running(
      `const { stdout, stderr } = process;
       console.log('one\\n\\ntwo');
       stdout.write('in '), stdout.write(''), stdout.write('parts'), stdout.write('\\n');
       stdout.write(Buffer.from('bytes\\nmore bytes\\n'));
       stdout.write('6865780a', 'hex');
       stdout.write('caf\\xe9\\n', 'latin1');
       stdout.write(new Uint8Array([0xc3, 0xbc, 10]));
       try { stdout.write(null); } catch ({ code }) { stdout.write(code + '\\n'); }
       console.error('wrong');
       stdout.write('no end', () => stderr.write('called\\n')), stdout.write('\\n');`,
      { output: 'prefix' },
    );
    const [pid] = script.workers();
    await script.until(
      'all is written',
      () => script.errors.includes('called\n') && script.output.includes('no end\n'),
    );
    const prefix = `[0 ${pid}] `;
    const lines = script.output.split('\n').filter((line) => !line.startsWith('event '));
    const caf = 'caf\ufffd';
    const wanted = [
      'one',
      '',
      'two',
      'in parts',
      'bytes',
      'more bytes',
      'hex',
      caf,
      'ü',
      'ERR_STREAM_NULL_VALUES',
      'no end',
    ];
    const own = lines.filter((line) => line.startsWith(prefix) && !line.includes('event '));
    assert.deepStrictEqual(own.map((line) => line.slice(prefix.length)), wanted);
    assert.strictEqual(script.errors, `${prefix}wrong\n${prefix}called\n`);
  });

  it('does not add the prefix to the reason of a failed start', async () => {
    const script = await startServer({ options: { output: 'prefix' } });
    change(script, 'console.error("no answer"); process.exit(3);');
    const { error } = await ask(script.cwd, 'reload');
    assert.match(
      error.message,
      /exited with code 3; its last lines on stderr: no answer; all slots run the old code$/,
    );
  });

  it('keeps isTTY', async () => {
    const script = await running(
      'const { stdout, stderr } = process; console.log(String([stdout.isTTY, stderr.isTTY, stdout.hasColors?.(1)]));',
      {
        output: 'prefix',
      },
    );
    assert.match(script.output, /^\[0 \d+\] ,,$/m, 'a pipe is not a terminal');
    await script.cleanUp();
    const code = `process.env.CLUSTER2 = ''; require(${JSON.stringify(require.resolve('../../lib/worker/line-prefix'))}).prefix({ slot: 7 }); console.log(String(process.stdout.isTTY))`;
    const { stdout } = spawnSync(
      'script',
      ['-qec', `${process.execPath} -e '${code.replaceAll("'", '"')}'`, '/dev/null'],
      { encoding: 'utf8' },
    );
    assert.match(stdout, /^\[7 \d+\] true\r?$/m);
  });
});

describe("output: 'files'", () => {
  it('gives each slot two files for the owner only; the master’s output is the same', async () => {
    const script = new Script('numbered-lines.js', {
      port: await freePort(),
      options: { output: 'files' },
    });
    await script.ready();
    for (const slot of [0, 1]) {
      for (const stream of ['out', 'err']) {
        await until('something is written', () => read(script, slot, stream).endsWith('end\n'));
        assert.strictEqual(fs.statSync(log(script, slot, stream)).mode & 0o137, 0);
      }
    }
    assert.strictEqual(script.errors, '');
    assert.ok(
      script.output.split('\n').every((line) => line === '' || line.startsWith('event ')),
      script.output,
    );
  });

  it('keeps the lines of a dead worker; its successor and a new master append', async () => {
    const code =
      'console.log("begin", process.pid); process.on("exit", () => console.log("end", process.pid));';
    const script = await running(code, { output: 'files' });
    const pids = [script.workers()[0]];
    process.kill(pids[0], 'SIGKILL');
    await script.ready(2);
    pids.push(script.workers()[0]);
    assert.deepStrictEqual((await ask(script.cwd, 'reload')).ok, { replaced: 1 });
    await script.until('the old one is gone', () => script.workers().length === 1);
    pids.push(script.workers()[0]);
    const wanted = `begin ${pids[0]}\nbegin ${pids[1]}\nbegin ${pids[2]}\nend ${pids[1]}\n`;
    assert.strictEqual(read(script, 0, 'out').replace(/^event .*\n/gm, ''), wanted);
  });

  it('shows in /logs of the monitor', async () => {
    const monPort = await freePort();
    await running('console.error("seen in the monitor");', { output: 'files', monPort });
    const { body } = await request(monPort, '/logs/worker-0.err.log');
    assert.strictEqual(body, 'seen in the monitor\n');
    assert.match((await request(monPort, '/logs')).body, /worker-0\.out\.log/);
  });

  describe('an unwritable file fails the start, and is named', () => {
    let directory;
    beforeEach(() => (directory = fs.mkdtempSync('/tmp/cluster2-test-')));
    afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));
    const at = (name) => path.join(directory, name);
    const named = (file) =>
      new RegExp(
        `^cluster2: cannot write ${file}: .* \\(option 'logs', for output: 'files'\\) \\(CLUSTER2_ERR_LOGS_UNWRITABLE\\)\\n$`,
      );

    it('if the directory is a file', async () => {
      assert.match(
        await fails(() => (fs.writeFileSync(at('logs'), ''), directory)),
        named(at('logs')),
      );
    });

    it('if it is a symlink, whose target is not changed', async () => {
      const errors = await fails(() => {
        fs.mkdirSync(at('logs'));
        fs.writeFileSync(at('precious'), 'precious');
        fs.symlinkSync(at('precious'), at('logs/worker-1.err.log'));
        return directory;
      });
      assert.match(errors, named(at('logs/worker-1.err.log')));
      assert.strictEqual(fs.readFileSync(at('precious'), 'utf8'), 'precious');
    });
  });
});
