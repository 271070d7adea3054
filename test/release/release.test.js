'use strict';

// The tarballs of a release, which `npm run test:release` builds into dist/: they are installed and
// run as a user would.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { ADDONS, PLATFORM, removeFolders } = require('../helpers/installed');
const { ROOT, assertServes, commandLine, contents, install } = require('../helpers/tarballs');

const DIST = path.join(ROOT, 'dist');
/** The oldest glibc that the README promises. */
const GLIBC = '2.17';
const PLATFORMS = ['linux-arm64-gnu', 'linux-arm64-musl', 'linux-x64-gnu', 'linux-x64-musl'];

const { version } = require('../../package.json');
const tarball = (name) => path.join(DIST, `${name}-${version}.tgz`);
const addons = ADDONS.map((name) => `${name}.${PLATFORM}.node`);
const MAIN = tarball('cluster2-rs');
const HERE = tarball(`cluster2-rs-${PLATFORM}`);

const descriptionOf = (folder) =>
  JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));

/** Returns whether version `a` is newer than `b`. */
function isNewer(a, b) {
  const [[majorA, minorA], [majorB, minorB]] = [a, b].map((text) => text.split('.').map(Number));
  return majorA > majorB || (majorA === majorB && minorA > minorB);
}

/** Returns the versions of glibc whose symbols a binary needs. The binary contains them as text. */
function glibcOf(file) {
  const text = fs.readFileSync(file, 'latin1');
  return [...new Set([...text.matchAll(/GLIBC_(\d+\.\d+)/g)].map(([, found]) => found))];
}

describe('the release', function () {
  this.timeout(60_000);
  after(removeFolders);

  let installed;
  let modules;
  before(() => {
    installed = install(MAIN, HERE);
    modules = path.join(installed.folder, 'node_modules');
  });

  it('has a main package without binaries, which depends on every platform', () => {
    assert.deepStrictEqual(contents(MAIN).filter((name) => /\.node$|^cluster2/.test(name)), []);
    const description = descriptionOf(path.join(modules, 'cluster2-rs'));
    const expected = Object.fromEntries(
      PLATFORMS.map((platform) => [`cluster2-rs-${platform}`, version]),
    );
    assert.deepStrictEqual(description.optionalDependencies, expected);
    assert.deepStrictEqual(
      ['scripts', 'dependencies', 'devDependencies'].filter((name) => name in description),
      [],
    );
  });

  it('has documents that stand alone: each link leads out of the package', () => {
    for (const name of ['README.md', 'CHANGELOG.md']) {
      const text = fs.readFileSync(path.join(modules, 'cluster2-rs', name), 'utf8');
      assert.doesNotMatch(text, /\]\((?!https:|#)|\bsrc(set)?="(?!https:)/, name);
      assert.doesNotMatch(text, /not on npm yet/, name);
    }
  });

  it('says in each package where it comes from', () => {
    for (const name of ['cluster2-rs', `cluster2-rs-${PLATFORM}`]) {
      const { repository, homepage, bugs } = descriptionOf(path.join(modules, name));
      assert.ok(repository.url && homepage && bugs, name);
    }
  });

  it('has a package for this platform, which names it and contains the binaries', () => {
    const {
      os,
      cpu,
      libc,
      version: own,
    } = descriptionOf(path.join(modules, `cluster2-rs-${PLATFORM}`));
    const [system, processor, library] = PLATFORM.split('-');
    const expected = {
      os: [system],
      cpu: [processor],
      libc: [library === 'gnu' ? 'glibc' : library],
      own: version,
    };
    assert.deepStrictEqual({ os, cpu, libc, own }, expected);
    const expectedFiles = [
      'LICENSE',
      'README.md',
      'cluster2',
      ...addons,
      'package.json',
    ];
    assert.deepStrictEqual(contents(HERE).sort(), expectedFiles.sort());
  });

  for (const name of [...addons, 'cluster2']) {
    it(`needs no glibc newer than ${GLIBC}: ${name}`, () => {
      const versions = glibcOf(path.join(modules, `cluster2-rs-${PLATFORM}`, name));
      assert.ok(versions.length > 0, 'it names no version of glibc');
      assert.deepStrictEqual(versions.filter((found) => isNewer(found, GLIBC)), []);
    });
  }

  it('runs a cluster and the command line without a compiler and a registry', async () => {
    assert.ok(commandLine(installed, '--version').includes(version));
    await assertServes(installed);
  });
});
