'use strict';

// Builds the addon and the command line, both from one run of cargo. `npm run build` does it for
// this machine, and puts them beside index.js as cluster2-rs.<platform>.node and
// cluster2.<platform>; scripts/release.js does it for each platform.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { NapiCli } = require('@napi-rs/cli');

const ROOT = path.join(__dirname, '..');

/** This machine's own target, as rustc names it. */
function hostTarget() {
  return execFileSync('rustc', ['-vV'], { encoding: 'utf8' }).match(/^host: (.+)$/m)[1];
}

/** Copies a program, also over one that is running. */
function replace(from, to) {
  fs.rmSync(to, { force: true });
  fs.copyFileSync(from, to);
}

/**
 * Builds for one target.
 * @param {{ target?: string, outputDir?: string, crossCompile?: boolean }} [options] `target`: a
 *   Rust triple, with `crossCompile` also with the glibc that is enough
 *   (`x86_64-unknown-linux-gnu.2.17`); `crossCompile`: by cargo-zigbuild
 * @returns {Promise<{ addon: string, program: string }>} the files that were made
 * @throws {Error} what cargo says is on standard error
 */
async function build({ target = hostTarget(), outputDir = ROOT, crossCompile = false } = {}) {
  // In one directory, each of the two linkers would make cargo build all of it again.
  const own = process.env.CARGO_TARGET_DIR ?? 'target';
  const targetDir = crossCompile ? path.join(ROOT, 'target', 'cross') : path.resolve(ROOT, own);
  const settings = { cwd: ROOT, platform: true, release: true, noJsBinding: true, targetDir };
  const { task } = await new NapiCli().build({ ...settings, target, outputDir, crossCompile });
  const addon = (await task).find(({ kind }) => kind === 'node').path;
  const built = path.join(targetDir, target.replace(/\..*/, ''), 'release', 'cluster2');
  const name = path.basename(addon, '.node').replace('cluster2-rs.', 'cluster2.');
  const program = path.join(outputDir, name);
  replace(built, program);
  return { addon, program };
}

module.exports = { build, hostTarget };

if (require.main === module) build();
