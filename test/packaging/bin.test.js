'use strict';

// The script that npm puts into node_modules/.bin becomes the native command line of this machine.
// Where there is none, `start` runs the script by node.

const assert = require('node:assert');
const { once } = require('node:events');
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const {
  LAYOUTS,
  PLATFORM,
  ROOT,
  emptyFolder,
  lay,
  placePlatform,
  removeFolders,
  write,
} = require('../helpers/installed');
const { NODE } = require('../helpers/node');
const { within } = require('../helpers/wait');

const { version } = require('../../package.json');

/**
 * A command line that prints its pid and arguments, and does what its first argument says.
 */
const PROGRAM = `#!/bin/sh
printf '%s\\n' "$$" "$CLUSTER2_PACKAGE" "$@"
eval "$1"
`;

const linkOf = (project) => path.join(path.dirname(project.linked), '.bin', 'cluster2');

function run(file, args = [], settings = {}) {
  const { status, signal, stdout, stderr } = spawnSync(file, args, {
    encoding: 'utf8',
    timeout: 10_000,
    ...settings,
  });
  return { status, signal, stderr, lines: stdout.trimEnd().split('\n') };
}

/**
 * An environment in which everything names another machine: `uname` to sh, and Node itself.
 * @param {string} system as of `uname`, and by Node: `Darwin darwin`
 * @param {string} processor the same of the processor: `arm64 arm64`
 */
function machine(system, processor) {
  const folder = emptyFolder();
  const [name, platform] = system.split(' ');
  const [kind, arch] = processor.split(' ');
  const properties = JSON.stringify({ platform: { value: platform }, arch: { value: arch } });
  const pretend = path.join(folder, 'pretend.js');
  write({
    [path.join(folder, 'uname')]:
      `#!/bin/sh\nif [ "$1" = -s ]; then echo ${name}; else echo ${kind}; fi\n`,
    [pretend]: `Object.defineProperties(process, ${properties})`,
  });
  const PATH = `${folder}:${path.dirname(NODE)}:${process.env.PATH}`;
  return { env: { ...process.env, PATH, NODE_OPTIONS: `--require "${pretend}"` } };
}

/** A project whose package has no command line for this machine. */
function layWithout() {
  const project = lay('hoisted');
  const folder = path.join(project.folder, 'node_modules', `cluster2-rs-${PLATFORM}`);
  fs.rmSync(folder, { recursive: true });
  return project;
}

/** Sends a signal to a command line that has printed `set`, and returns its exit code. */
async function endBy(signal, child) {
  try {
    await within('the trap is set', (async () => {
      let said = '';
      for await (const text of child.stdout) if ((said += text).includes('\nset\n')) return;
    })());
    child.kill(signal);
    const [code] = await within('it ends', once(child, 'exit'));
    return code;
  } finally {
    child.kill('SIGKILL');
    // The command line ends with its input, even if it is not the child itself.
    for (const stream of child.stdio) stream.destroy();
  }
}

describe('bin/cluster2', () => {
  afterEach(removeFolders);

  for (const layout of Object.keys(LAYOUTS)) {
    it(`finds the command line through a link of npm: ${layout}`, () => {
      const project = lay(layout, { program: PROGRAM });
      const { status, lines, stderr } = run(linkOf(project), ['true', 'two words', '']);
      assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: '' });
      assert.deepStrictEqual(lines.slice(1), [project.main, 'true', 'two words']);
    });
  }

  it('prefers the one beside the package', () => {
    const project = lay('hoisted', { program: PROGRAM });
    write({ [path.join(project.main, `cluster2.${PLATFORM}`)]: '#!/bin/sh\necho own\n' });
    assert.deepStrictEqual(run(linkOf(project)).lines, ['own']);
  });

  it('picks the one for this C library if both are installed', () => {
    const project = lay('hoisted', { program: PROGRAM });
    const other = PLATFORM.endsWith('gnu')
      ? PLATFORM.replace('gnu', 'musl')
      : PLATFORM.replace('musl', 'gnu');
    placePlatform(path.join(project.folder, `node_modules/cluster2-rs-${other}`), {
      platform: other,
      program: '#!/bin/sh\necho other\n',
    });
    assert.strictEqual(run(linkOf(project), ['exit 7']).status, 7);
  });

  it('becomes the command line: the same process, with the same exit code or signal', () => {
    const link = linkOf(lay('hoisted', { program: PROGRAM }));
    assert.strictEqual(run(link, ['exit 7']).status, 7);
    assert.strictEqual(run(link, ['kill -TERM $$']).signal, 'SIGTERM');
    const { pid, stdout } = spawnSync(link, ['true'], { encoding: 'utf8' });
    assert.strictEqual(Number(stdout.split('\n')[0]), pid);
  });

  it('passes signals to the command line', async () => {
    const link = linkOf(lay('hoisted', { program: PROGRAM }));
    const child = spawn(link, ['trap "exit 9" USR1; echo set; while read -r nothing; do :; done']);
    assert.strictEqual(await endBy('SIGUSR1', child), 9);
  });

  it('prints in one line what is missing, and exits with 255', () => {
    const { status, stderr } = run(linkOf(layWithout()), ['status']);
    assert.strictEqual(status, 255);
    assert.match(stderr, /^cluster2: .*\(linux-[^)]+\).* missing.*npm run build.*\n$/);
  });

  it('names a machine that is not supported', () => {
    const link = linkOf(lay('hoisted', { program: PROGRAM }));
    for (const names of [['Darwin darwin', 'arm64 arm64'], ['Linux linux', 'riscv64 riscv64']]) {
      const { status, stderr } = run(link, [], machine(...names));
      const [platform, arch] = names.map((name) => name.split(' ')[1]);
      assert.strictEqual(status, 255);
      assert.ok(stderr.includes(`(${platform}-${arch})`), stderr);
    }
  });

  it('says so where there is no node either', () => {
    const link = linkOf(layWithout());
    const folder = emptyFolder();
    for (const name of ['readlink', 'uname']) {
      fs.symlinkSync(spawnSync('which', [name], { encoding: 'utf8' }).stdout.trim(), path.join(folder, name));
    }
    const { status, stderr } = run('/bin/sh', [link, 'status'], { env: { PATH: folder } });
    assert.strictEqual(status, 255);
    assert.match(stderr, /^cluster2: neither the command line for this machine \(Linux .* nor node/);
  });

  it('works when run by node too, as Yarn does from version 2 on', async () => {
    for (const layout of Object.keys(LAYOUTS)) {
      const project = lay(layout, { program: PROGRAM });
      const { status, lines, stderr } = run(NODE, [linkOf(project), 'exit 7', 'two words', '']);
      assert.deepStrictEqual({ status, stderr }, { status: 7, stderr: '' });
      assert.deepStrictEqual(lines.slice(1), [project.main, 'exit 7', 'two words']);
    }
    const link = linkOf(lay('hoisted', { program: PROGRAM }));
    assert.strictEqual(run(NODE, [link, 'kill -TERM $$']).signal, 'SIGTERM');
    const kept = run(NODE, [
      '--preserve-symlinks',
      '--preserve-symlinks-main',
      link,
      'exit 7',
      'two words',
    ]);
    assert.deepStrictEqual([kept.status, ...kept.lines.slice(2)], [7, 'exit 7', 'two words']);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2']) {
      const name = signal.slice(3);
      assert.strictEqual(
        await endBy(
          signal,
          spawn(NODE, [link, `trap "exit 9" ${name}; echo set; while read -r nothing; do :; done`]),
        ),
        9,
      );
    }
  });

  it('prints what is missing when run by node too', () => {
    const { status, stderr } = run(NODE, [linkOf(layWithout()), 'status']);
    assert.strictEqual(status, 255);
    assert.match(stderr, /^cluster2: .* missing.*\n$/);
  });

  it('is started by node as cluster2-rs, for Windows, where few have sh', () => {
    const { main } = lay('hoisted', { program: PROGRAM });
    const { bin } = require('../../package.json');
    const file = path.join(main, bin['cluster2-rs']);
    assert.match(fs.readFileSync(file, 'utf8'), /^#!\/usr\/bin\/env node\n/);
    const { status, lines } = run(file, ['exit 7', 'two words']);
    assert.deepStrictEqual([status, ...lines.slice(1)], [7, main, 'exit 7', 'two words']);
  });

  it('works in this clone', () => {
    const { status, lines } = run(path.join(ROOT, 'bin', 'cluster2'), ['--version']);
    assert.strictEqual(status, 0);
    assert.ok(lines.join('\n').includes(version), lines.join('\n'));
  });
});
