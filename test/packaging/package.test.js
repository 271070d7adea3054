'use strict';

// The package that npm makes of a clone: all that is needed to run, nothing else, and nothing to
// build or download.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { ADDONS, PLATFORM, emptyFolder, removeFolders } = require('../helpers/installed');
const { ROOT, assertServes, commandLine, install, pack } = require('../helpers/tarballs');

const LIMIT = 60_000;
const description = require('../../package.json');

/** Patterns of all files that the package may contain. */
const MAY_BE = [
  /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|index\.js|index\.d\.ts)$/,
  /^lib\/([a-z-]+\/)?[a-z0-9-]+\.js$/,
  /^bin\/(cluster2|(become|cluster2-rs|without-native)\.js)$/,
  /^cluster2-(rs|worker)\.linux-\w+-\w+\.node$/,
  /^cluster2\.linux-\w+-\w+$/,
];
const addons = ADDONS.map((name) => `${name}.${PLATFORM}.node`);
const BINARIES = [...addons, `cluster2.${PLATFORM}`];
const SCRIPTS_OF_NPM = [
  'preinstall',
  'install',
  'postinstall',
  'prepare',
  'preprepare',
  'postprepare',
];

describe('the package', function () {
  this.timeout(LIMIT);

  let tarball;
  let files;
  before(() => ({ tarball, files } = pack(ROOT, emptyFolder())));
  after(removeFolders);

  it('contains the files it needs to run, and nothing else', () => {
    const names = files.map((file) => file.path);
    assert.deepStrictEqual(
      names.filter((name) => !MAY_BE.some((pattern) => pattern.test(name))),
      [],
    );
    const modules = fs
      .readdirSync(path.join(ROOT, 'lib'), { recursive: true })
      .filter((name) => name.endsWith('.js'));
    const needed = [
      'index.js',
      'index.d.ts',
      'LICENSE',
      'README.md',
      'bin/become.js',
      'bin/cluster2',
      'bin/cluster2-rs.js',
      'bin/without-native.js',
      ...BINARIES,
      ...modules.map((name) => `lib/${name}`),
    ];
    assert.deepStrictEqual(
      needed.filter((name) => !names.includes(name)),
      [],
    );
  });

  it('is small except for the binaries, which are executable', () => {
    const rest = files.filter(({ path: name }) => !BINARIES.includes(name));
    const size = rest.reduce((sum, file) => sum + file.size, 0);
    assert.ok(size < 1_000_000, `${size} bytes`);
    for (const name of ['bin/cluster2', `cluster2.${PLATFORM}`]) {
      assert.strictEqual(files.find((file) => file.path === name).mode & 0o111, 0o111, name);
    }
  });

  it('has no install scripts and no dependencies', () => {
    assert.deepStrictEqual(SCRIPTS_OF_NPM.filter((name) => name in description.scripts), []);
    assert.deepStrictEqual(description.dependencies ?? {}, {});
    // npm would refuse to install it elsewhere, and the package could not explain why.
    for (const name of ['os', 'cpu', 'libc']) assert.ok(!(name in description), name);
  });

  it('has the version of the crate', () => {
    const crate = fs
      .readFileSync(path.join(ROOT, 'Cargo.toml'), 'utf8')
      .match(/^version = "(.*)"$/m)[1];
    assert.strictEqual(description.version, crate);
  });

  it('cannot be published from a clone', () => {
    const publish = () =>
      execFileSync('npm', ['run', 'prepublishOnly'], {
        cwd: ROOT,
        encoding: 'utf8',
        stdio: 'pipe',
      });
    assert.throws(
      publish,
      ({ status, stderr }) => status === 1 && stderr.includes('npm run release'),
    );
  });

  it('resolves with its types for all kinds of importers (attw)', () => tool('attw', tarball));

  it('has a valid package.json (publint)', () => tool('publint', tarball, '--strict'));

  it('installs and runs without a compiler and a registry', async () => {
    const installed = install(tarball);
    assert.ok(commandLine(installed, '--version').includes(description.version));
    await assertServes(installed);
  });
});

/** Runs a tool on the package. Its output is shown if it fails. */
function tool(name, ...args) {
  try {
    execFileSync(path.join(ROOT, 'node_modules', '.bin', name), args, {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: 'pipe',
      timeout: LIMIT,
    });
  } catch (error) {
    assert.fail(`${name}: ${error.message}\n${error.stdout}\n${error.stderr}`);
  }
}
