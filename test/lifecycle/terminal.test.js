'use strict';

// A master whose terminal closes, and signals from the launcher, shell or runner that started it.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { cluster2, startPlain } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { CLI, Script, isAlive } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');

const FIXTURES = path.join(__dirname, '..', 'fixtures');
const pictured = (cwd) => JSON.parse(cluster2(cwd, 'status', '--json').stdout || '{}');

/** A terminal in a directory with the script `plain.js`. `end()` closes it. */
class Terminal {
  constructor(port, command) {
    this.cwd = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));
    for (const name of ['plain.js', 'hammered-app.js'])
      fs.copyFileSync(path.join(FIXTURES, name), path.join(this.cwd, name));
    const env = {
      ...process.env,
      // `script` runs its command in this shell, which the command then replaces.
      SHELL: '/bin/bash',
      PORT: String(port),
      OPTIONS: JSON.stringify({ pids: path.join(this.cwd, 'pids') }),
    };
    const stdio = ['pipe', 'ignore', 'ignore'];
    // The end of this process closes the terminal.
    this.child = spawn('script', ['-qefc', command, '/dev/null'], { cwd: this.cwd, env, stdio });
    this.child.stdin.on('error', () => {});
  }

  type(line) {
    this.child.stdin.write(`${line}\n`);
  }

  /** The pid of the running master. */
  async master() {
    await until(
      'the workers are ready',
      () =>
        (pictured(this.cwd).workers ?? []).filter(({ state }) => state === 'ready').length === 2,
    );
    return pictured(this.cwd).master.pid;
  }

  end() {
    this.child.kill('SIGKILL');
  }

  cleanUp() {
    this.end();
    cluster2(this.cwd, 'stop');
    fs.rmSync(this.cwd, { recursive: true });
  }
}

describe('closing the terminal', () => {
  let terminal;
  afterEach(() => terminal.cleanUp());

  const MASTERS = {
    'of the API': `'${process.execPath}' '${path.join(FIXTURES, 'http.js')}'`,
    'of the command line': `'${CLI}' start plain.js --workers 2 --mon-port off`,
  };
  const SHELLS = {
    'that leads it': (command) => [`exec ${command}`],
    'in the foreground of a shell': (command) => [`${command}; true`],
    'in the background of an interactive shell': (command) => ['bash --norc -i', `${command} &`],
    // The outer shell ends after the inner one, which does not read on during its `wait`.
    'in the background of a shell that another one started': (command) => [
      'bash --norc -i; true',
      `${command} &`,
      'wait',
    ],
  };
  for (const [kind, command] of Object.entries(MASTERS)) {
    for (const [where, wrap] of Object.entries(SHELLS)) {
      it(`ends a master ${kind} ${where}, gracefully`, async () => {
        const [program, ...typed] = wrap(command);
        const port = await freePort();
        terminal = new Terminal(port, program);
        typed.forEach((line) => terminal.type(line));
        const pid = await terminal.master();
        const late = kind.includes('line') && request(port, '/late/x/500');
        if (late)
          await until('a request is under way', () =>
            pictured(terminal.cwd).workers.some(({ requests }) => requests.active === 1),
          );
        terminal.end();
        await until('the cluster has ended', () => !isAlive(pid));
        if (late) assert.strictEqual((await late).status, 200);
        assert.deepStrictEqual(
          fs.readdirSync(path.join(terminal.cwd, 'pids')),
          [],
          'no file is left, as after any shutdown',
        );
      });
    }

    it(`is not confused with SIGHUP of the shell to a master ${kind}`, async () => {
      terminal = new Terminal(await freePort(), 'bash --norc -i');
      terminal.type(`${command} &`);
      const pid = await terminal.master();
      terminal.type('kill -HUP $!');
      await until('all workers are new', () => pictured(terminal.cwd).totals.reloads === 1);
      assert.ok(isAlive(pid));
    });
  }

  it('does not end a command line under nohup, which still reloads on SIGHUP', async () => {
    terminal = new Terminal(await freePort(), 'bash --norc -i');
    terminal.type(`nohup ${MASTERS['of the command line']} &`);
    const pid = await terminal.master();
    terminal.end();
    await until('the shell is gone', () =>
      /^\d+ \(.*\) \S 1 /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8')),
    );
    process.kill(pid, 'SIGHUP');
    await until('all workers are new', () => pictured(terminal.cwd).totals.reloads === 1);
    assert.ok(isAlive(pid));
  });
});

describe('signals to the master of the command line', () => {
  for (const signal of ['SIGQUIT', 'SIGALRM', 'SIGUSR2']) {
    it(`${signal} is a graceful shutdown`, async () => {
      const script = await startPlain();
      const late = request(script.port, '/late/x/300');
      await until('the request is under way', () =>
        pictured(script.cwd).workers.some(({ requests }) => requests.active === 1),
      );
      script.kill(signal);
      assert.strictEqual((await late).status, 200);
      assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
      assert.deepStrictEqual(fs.readdirSync(script.pids), []);
    });
  }

  it('SIGUSR1 is ignored, and SIGUSR2 reopens log files if workers write some', async () => {
    const script = await startPlain({ flags: ['--output', 'files'] });
    const log = path.join(script.cwd, 'logs', 'worker-0.out.log');
    fs.renameSync(log, `${log}.1`);
    script.kill('SIGUSR1');
    script.kill('SIGUSR2');
    await until('there is a new one', () => fs.existsSync(log));
    assert.strictEqual(pictured(script.cwd).workers.length, 2);
  });

  it('work even if the launcher left them blocked', async () => {
    const block = 'use POSIX; sigprocmask(SIG_BLOCK, POSIX::SigSet->new(1 .. 31)); exec @ARGV';
    const script = await startPlain({ through: ['perl', '-e', block] });
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });
});

describe('a start while the cluster of the same directory is shutting down', () => {
  it('waits for its end, as when a runner signals all processes and restarts', async () => {
    const script = await startPlain();
    const late = request(script.port, '/late/x/500');
    await until('the request is under way', () =>
      pictured(script.cwd).workers.some(({ requests }) => requests.active === 1),
    );
    script.kill('SIGUSR2');
    await script.until('it leaves', () => script.errors.includes('shutting down'));
    const next = await startPlain({ port: script.port, cwd: script.cwd });
    assert.strictEqual((await late).status, 200);
    assert.match(
      next.errors,
      new RegExp(`Z cluster2: waiting for master ${script.pid}, which is shutting down$`, 'm'),
    );
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('can be interrupted', async () => {
    const script = await startPlain();
    const late = request(script.port, '/late/x/60000').catch((error) => error);
    await until('the request is under way', () =>
      pictured(script.cwd).workers.some(({ requests }) => requests.active === 1),
    );
    script.kill();
    await script.until('it leaves', () => script.errors.includes('shutting down'));
    const settings = {
      port: script.port,
      cwd: script.cwd,
      cli: ['--workers', '2', '--mon-port', 'off'],
    };
    const next = new Script('plain.js', settings);
    await next.until('it waits', () => next.errors.includes('waiting for master'));
    next.kill('SIGINT');
    assert.strictEqual((await next.ended()).code, 255);
    assert.ok(isAlive(script.pid));
    cluster2(script.cwd, 'stop');
    await late;
  });
});
