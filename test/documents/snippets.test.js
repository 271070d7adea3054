'use strict';

// Runs the programs and commands that README.md and docs/ show, as a reader would: programs on free
// ports, commands against these programs.

const assert = require('node:assert');
const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const Cluster = require('../..');
const { Connection, request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { NODE } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const { CLI, assertAccepted, assertExists } = require('../helpers/snippet-commands');
const { FILES, ROOT, blocks, commands } = require('../helpers/snippets');
const { Tool, find } = require('../helpers/tools');
const { until } = require('../helpers/wait');

const BLOCKS = blocks();
const KINDS =
  'program plain task beside terminal asks status log sh json cluster2.json ecosystem'.split(' ').concat('not run');
const CLEAN = { code: 0, signal: null };
/** The program for the commands: the first one of the README. */
const SERVER = BLOCKS.find(({ kind }) => kind === 'program').text;

/** As for other tools: without curl these tests are skipped, and fail in CI. */
const itAsks = find('curl') || process.env.CI ? it : it.skip;

/** The program that a reader of this block has just seen. */
const programAbove = (block) => {
  const [file] = block.where.split(':');
  const above = BLOCKS.slice(0, BLOCKS.indexOf(block)).filter(({ kind }) => kind === 'program');
  return above.filter(({ where }) => where.startsWith(`${file}:`)).at(-1).text;
};

const of = (...kinds) => BLOCKS.filter(({ kind }) => kinds.includes(kind));

/** The folder with the modules for the programs, and with the programs' directories. */
let home;

/** Returns a directory and ports for a program. */
async function place() {
  const cwd = fs.mkdtempSync(path.join(home, 'snippet-'));
  return { cwd, port: await freePort(), monPort: await freePort() };
}

/** Writes a program into its directory, with its ports. Returns the file. */
function write({ cwd, port, monPort }, text) {
  const file = path.join(cwd, 'server.js');
  fs.writeFileSync(
    file,
    text.replace(/(port: )?3000/g, (_, key) => (key ? `port: ${port}, monPort: ${monPort}` : port)),
  );
  return file;
}

const status = (cwd) => new Cluster({ pids: path.join(cwd, 'pids') }).status();

async function isReady(cwd) {
  // While it starts, nothing may answer yet.
  const { running, master, workers } = await status(cwd).catch(() => ({}));
  return running && workers.filter(({ state }) => state === 'ready').length === master.target;
}

/** Starts a program that makes a cluster, and waits until all of its workers are ready. */
async function start(text, env = {}) {
  const here = await place();
  const script = new Script(write(here, text), { cwd: here.cwd, env });
  await script.until('all workers are ready', () => isReady(here.cwd));
  return { ...here, script };
}

async function stop({ cwd, script }) {
  await new Cluster({ pids: path.join(cwd, 'pids') }).stop();
  assert.deepStrictEqual(await script.ended(), CLEAN, script.errors);
}

/** Checks that the program answers hello. */
async function assertServes(text, port) {
  if (/require\('net'\)/.test(text)) return new Connection(port).hears('hello');
  const { status: code, body } = await request(port);
  return assert.deepStrictEqual([code, body.slice(0, 5)], [200, 'hello']);
}

/** Runs a curl command against the program. Returns its output. Fails unless the status is 2xx. */
function curl({ cwd, port }, command) {
  const line = command
    .replace(/^curl /, 'curl -sS -w "%{stderr}%{http_code}" ')
    .replaceAll(':3000', `:${port}`);
  const { stdout, stderr } = spawnSync('sh', ['-c', line], {
    cwd,
    encoding: 'utf8',
    timeout: 10_000,
  });
  assert.match(stderr, /^2\d\d$/, line);
  return stdout;
}

/** The text without the parts that differ between machines and moments. */
const timeless = (text) =>
  text
    .replace(/\w{3} \w{3} \d\d \d{4} [\d:]{8} GMT\S+ \([^)]*\)/g, 'DATE')
    .replace(/(hostname|port)=\w[^&]*/g, '$1')
    .replaceAll('\r', '')
    .trim();

describe('what the documentation shows', function () {
  this.timeout(60_000);
  before(() => {
    home = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-snippets-'));
    fs.mkdirSync(path.join(home, 'node_modules'));
    const modules = { 'cluster2-rs': ROOT, express: path.join(ROOT, 'node_modules', 'express2') };
    for (const [name, target] of Object.entries(modules))
      fs.symlinkSync(target, path.join(home, 'node_modules', name));
  });
  after(() => fs.rmSync(home, { recursive: true, force: true }));

  it('is all run, or it says why not', () => {
    const fences = FILES.flatMap(
      (file) => fs.readFileSync(path.join(ROOT, file), 'utf8').match(/^ *```/gm) ?? [],
    );
    assert.strictEqual(BLOCKS.length * 2, fences.length, 'a block is not found');
    const unknown = BLOCKS.filter(
      ({ kind }) => !KINDS.includes(kind) && !kind?.startsWith('part of '),
    );
    assert.deepStrictEqual(
      unknown.map(({ where, kind }) => `${where}: ${kind}`),
      [],
    );
  });

  for (const { where, text } of of('program')) {
    it(`${where} serves`, async () => {
      const running = await start(text);
      await assertServes(text, running.port);
      await stop(running);
    });
  }

  for (const { where, text, kind } of of('plain', 'task')) {
    const flags = kind === 'task' ? '--no-listen' : '';
    it(`${where} runs under \`cluster2 start ${flags}\``, async () => {
      const here = await place();
      write(here, text);
      const line = `cd '${here.cwd}' && exec '${CLI}' start server.js ${flags} --workers 2 --mon-port off --node '${NODE}'`;
      const master = new Tool('sh', ['-c', line]);
      await until(`all workers are ready: ${master.output}`, () => isReady(here.cwd));
      if (kind === 'plain') await assertServes(text, here.port);
      await master.stop();
      assert.doesNotMatch(master.output, /SIGKILL|crash/);
    });
  }

  for (const { where, text } of of('beside')) {
    it(`${where} ends a cluster`, async () => {
      const running = await start(SERVER);
      fs.writeFileSync(path.join(running.cwd, 'ends.js'), text);
      execFileSync(NODE, ['ends.js'], { cwd: running.cwd, timeout: 10_000 });
      assert.deepStrictEqual(await running.script.ended(), CLEAN);
    });
  }

  for (const block of of('asks')) {
    itAsks(`${block.where} is answered`, async () => {
      const running = await start(
        SERVER.replace('port: 3000', 'port: 3000, ecv: { control: true }'),
      );
      for (const command of commands(block)) {
        const answer = curl(running, command);
        if (block.language === 'console')
          assert.strictEqual(timeless(`$ ${command}\n${answer}`), timeless(block.text));
      }
      await stop(running);
    });
  }

  for (const block of of('log')) {
    it(`${block.where} logs`, async () => {
      for (const command of commands(block)) {
        const [, value] = command.match(/^CLUSTER2_LOG=(\S+) node server\.js$/);
        const running = await start(SERVER, { CLUSTER2_LOG: value });
        await request(running.port);
        await running.script.until('something is logged', () =>
          /cluster2_rs/.test(running.script.errors),
        );
        await stop(running);
      }
    });
  }

  for (const block of of('terminal')) {
    itAsks(`${block.where} does what it says`, async () => {
      const here = await place();
      write(here, programAbove(block));
      const [begin, ask, reload, end] = commands(block);
      assert.deepStrictEqual(
        [begin, reload, end],
        ['node server.js & sleep 1', 'kill -HUP %1', 'kill %1'],
      );
      // Where a reader would look, the shell waits for a file from the test.
      const looked = (name) => `until [ -e ${name} ]; do sleep 0.05; done`;
      const look = (name) => fs.writeFileSync(path.join(here.cwd, name), '');
      const steps = [
        `cd '${here.cwd}'`,
        begin.replace('node', `'${NODE}'`),
        looked('one'),
        reload,
        looked('two'),
        end,
      ];
      const shell = new Tool('bash', ['-c', [...steps, 'wait %1; echo "exit code $?"'].join('\n')]);
      await until('all workers are ready', () => isReady(here.cwd));
      assert.match(curl(here, ask), /^hello from \d+\n$/);
      look('one');
      await until(
        'all workers are new',
        async () => (await status(here.cwd)).totals?.reloads === 1,
      );
      look('two');
      await until('it has ended', () => shell.output.includes('exit code'));
      assert.match(shell.output, /exit code 0\n/);
      await shell.stop();
    });
  }

  for (const { where, text } of of('status')) {
    it(`${where} has the form of status()`, async () => {
      const running = await start(SERVER);
      const shape = (value) => {
        if (value === null || typeof value !== 'object')
          return value === null ? 'string' : typeof value;
        if (Array.isArray(value)) return value.slice(0, 1).map(shape);
        return Object.fromEntries(
          Object.entries(value)
            .sort()
            .map(([key, inner]) => [key, key === 'exits' ? 'counts' : shape(inner)]),
        );
      };
      const told = await until('all is measured', async () => {
        const now = await status(running.cwd);
        return now.workers.every((worker) => worker.eventLoopUtilization !== null) && now;
      });
      assert.deepStrictEqual(
        shape(told),
        shape(new Function(`return (${text})`)()),
      );
      await stop(running);
    });
  }

  for (const { where, kind, text } of of('json', 'cluster2.json')) {
    it(`${where} is JSON${kind === 'json' ? '' : ' that the command line takes'}`, () => {
      JSON.parse(text);
      if (kind === 'json') return;
      const cwd = fs.mkdtempSync(path.join(home, 'snippet-'));
      fs.writeFileSync(path.join(cwd, 'cluster2.json'), text);
      assertAccepted(cwd, 'cluster2 start');
    });
  }

  for (const block of of('sh')) {
    it(`${block.where} has commands that exist`, () => {
      const cwd = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-snippet-'));
      try {
        for (const command of commands(block)) assertExists(cwd, command);
      } finally {
        fs.rmSync(cwd, { recursive: true });
      }
    });
  }

  for (const { where, kind, text } of BLOCKS.filter((block) =>
    block.kind?.startsWith('part of '),
  )) {
    it(`${where} is ${kind}`, () => {
      const whole = fs
        .readFileSync(path.join(ROOT, kind.slice('part of '.length)), 'utf8')
        .split('\n')
        .map((line) => line.trim());
      for (const line of text.split('\n')) assert.ok(whole.includes(line.trim()), line);
    });
  }

  it('an ecosystem file of PM2 has only keys that the table explains', () => {
    for (const { where, text } of of('ecosystem')) {
      const table = fs
        .readFileSync(path.join(ROOT, where.split(':')[0]), 'utf8')
        .match(/^\| `ecosystem\.config\.js`[^]*?\n\n/m)[0];
      const found = { exports: {} };
      new Function('module', text)(found);
      for (const key of Object.keys(found.exports.apps[0]))
        assert.match(table, new RegExp(`^\\| [^|]*\`${key}\\b`, 'm'), key);
    }
  });
});
