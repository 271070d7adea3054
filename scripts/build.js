'use strict';

// Builds the addons and the command line, all from one run of cargo. `npm run build` does it for
// this machine, and puts them beside index.js; scripts/release.js does it for each platform.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { parseTriple } = require('@napi-rs/cli');

const ROOT = path.join(__dirname, '..');

/** What a package of a platform has: of each crate the file that cargo makes, and its name. */
const BINARIES = {
  'cluster2-main-addon': { made: 'libcluster2_main_addon.so', name: 'cluster2-rs.*.node' },
  'cluster2-worker-addon': { made: 'libcluster2_worker_addon.so', name: 'cluster2-worker.*.node' },
  'cluster2-rs': { made: 'cluster2', name: 'cluster2.*' },
};

/** This machine's own target, as rustc names it. */
function hostTarget() {
  return execFileSync('rustc', ['-vV'], { encoding: 'utf8' }).match(/^host: (.+)$/m)[1];
}

/** Copies a program, also over one that is running. */
function replace(from, to) {
  fs.rmSync(to, { force: true });
  fs.copyFileSync(from, to);
}

/** The variables for cargo. An addon for musl shares Node's C library. */
function environment(target) {
  if (parseTriple(target).abi !== 'musl') return process.env;
  const flags = [process.env.RUSTFLAGS, '-C target-feature=-crt-static'];
  return { ...process.env, RUSTFLAGS: flags.filter(Boolean).join(' ') };
}

/**
 * Builds for one target.
 * @param {{ target?: string, outputDir?: string, crossCompile?: boolean }} [options] `target`: a
 *   Rust triple, with `crossCompile` also with the glibc that is enough
 *   (`x86_64-unknown-linux-gnu.2.17`); `crossCompile`: by cargo-zigbuild
 * @returns {string[]} the files that were made, as the package names them
 * @throws {Error} what cargo says is on standard error
 */
function build({ target = hostTarget(), outputDir = ROOT, crossCompile = false } = {}) {
  // In one directory, each of the two linkers would make cargo build all of it again.
  const own = process.env.CARGO_TARGET_DIR ?? 'target';
  const targetDir = crossCompile ? path.join(ROOT, 'target', 'cross') : path.resolve(ROOT, own);
  const triple = target.replace(/\..*/, '');
  const crates = Object.keys(BINARIES).flatMap((name) => ['--package', name]);
  const where = ['--target', target, '--target-dir', targetDir];
  const args = [crossCompile ? 'zigbuild' : 'build', '--release', ...where, ...crates];
  execFileSync('cargo', args, { cwd: ROOT, env: environment(triple), stdio: 'inherit' });
  return Object.values(BINARIES).map(({ made, name }) => {
    const file = name.replace('*', parseTriple(triple).platformArchABI);
    replace(path.join(targetDir, triple, 'release', made), path.join(outputDir, file));
    return file;
  });
}

module.exports = { build, hostTarget };

if (require.main === module) build();
