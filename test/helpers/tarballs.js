'use strict';

// Tarballs made by npm, installed into an empty folder as by a user, and run there.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { request } = require('./client');
const { Script } = require('./cluster');
const { ROOT, emptyFolder, write } = require('./installed');
const { freePort } = require('./ports');
const { find } = require('./tools');

const FIXTURES = path.join(__dirname, '..', 'fixtures');
const LIMIT = 60_000;

/** Runs npm. The error of a failure contains its output. */
function npm(args, settings) {
  return execFileSync(find('npm'), args, {
    encoding: 'utf8',
    stdio: 'pipe',
    timeout: LIMIT,
    ...settings,
  });
}

/**
 * Packs a folder.
 * @returns {{ tarball: string, files: Array<{ path: string, size: number, mode: number }> }}
 */
function pack(folder, destination) {
  const [{ filename, files }] = JSON.parse(
    npm(['pack', '--json', '--pack-destination', destination, folder]),
  );
  return { tarball: path.join(destination, filename), files };
}

/** Returns the paths within a tarball. */
function contents(tarball) {
  const names = execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }).trimEnd().split('\n');
  return names.map((name) => name.replace(/^package\//, ''));
}

/**
 * Installs tarballs into an empty folder, without a registry, and with only Node in the path.
 * @returns {{ folder: string, env: object }} for programs that run there
 */
function install(...tarballs) {
  const folder = emptyFolder();
  const programs = path.join(folder, 'programs');
  fs.mkdirSync(programs);
  fs.symlinkSync(process.execPath, path.join(programs, 'node'));
  const env = { ...process.env, PATH: programs };
  write({ [path.join(folder, 'package.json')]: '{ "private": true }' });
  const alone = ['--offline', '--no-audit', '--no-fund', '--cache', path.join(folder, 'cache')];
  npm(['install', ...alone, ...tarballs], { cwd: folder, env });
  return { folder, env };
}

/**
 * Runs a server with two workers from the folder, and checks that it answers before and after a
 * reload, and exits with 0.
 */
async function assertServes({ folder, env }) {
  const server = fs
    .readFileSync(path.join(FIXTURES, 'http.js'), 'utf8')
    .replace("'../..'", "'cluster2-rs'");
  write({ [path.join(folder, 'http.js')]: server });
  fs.copyFileSync(path.join(FIXTURES, 'events.js'), path.join(folder, 'events.js'));
  const script = await new Script(path.join(folder, 'http.js'), {
    cwd: folder,
    env,
    port: await freePort(),
  }).ready();
  const before = script.workers();
  assert.ok(before.includes(Number((await request(script.port, '/pid')).body)));
  script.kill('SIGHUP');
  await script.until('both workers are replaced', () => script.emitted('died').length === 2);
  const after = script.workers();
  assert.ok(!before.some((pid) => after.includes(pid)));
  assert.ok(after.includes(Number((await request(script.port, '/pid')).body)));
  script.kill('SIGTERM');
  assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
}

/** Runs the command line that is installed in the folder. */
function commandLine({ folder, env }, ...args) {
  // The shell script needs a few programs of the system; the command line itself needs none.
  const PATH = `${env.PATH}:/usr/bin:/bin`;
  const file = path.join(folder, 'node_modules', '.bin', 'cluster2');
  return execFileSync(file, args, { encoding: 'utf8', env: { ...env, PATH }, timeout: LIMIT });
}

module.exports = { ROOT, assertServes, commandLine, contents, install, pack };
