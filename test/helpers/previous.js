'use strict';

// A former build of this project, packed by itself.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { ROOT } = require('./installed');

const KEPT = path.join(ROOT, 'target', 'previous');
/** A build may take long on a machine that does other things too. */
const LIMIT = 30 * 60_000;

const git = (...args) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();

/**
 * The commit to compare with: of the last release before this commit, or without one the first
 * commit that knew of upgrades.
 */
function previousCommit() {
  const named = process.env.CLUSTER2_PREVIOUS_COMMIT;
  if (named) return git('rev-parse', '--verify', `${named}^{commit}`);
  const releases = git('tag', '--list', 'v*', '--merged', 'HEAD~1', '--sort=-creatordate');
  if (releases) return git('rev-parse', `${releases.split('\n')[0]}^{commit}`);
  const added = ['--diff-filter=A', '--format=%H', '--', 'src/handover/mod.rs'];
  return git('log', ...added).split('\n').at(-1);
}

/**
 * Builds and packs a commit, unless `target/previous` has it. Returns its tarball, with the
 * binaries of this machine.
 */
function packPrevious(commit) {
  const tarball = path.join(KEPT, `${commit}.tgz`);
  if (fs.existsSync(tarball)) return tarball;
  fs.mkdirSync(KEPT, { recursive: true });
  // Not in this clone, whose cargo workspace it does not belong to.
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-previous-'));
  git('worktree', 'add', '--force', '--detach', folder, commit);
  try {
    fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
    const env = { ...process.env, CARGO_TARGET_DIR: path.join(KEPT, 'target') };
    const own = { cwd: folder, env, timeout: LIMIT, stdio: ['ignore', 'ignore', 'inherit'] };
    execFileSync('npm', ['run', 'build', '--silent'], own);
    execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], own);
    const [packed] = fs.readdirSync(folder).filter((name) => name.endsWith('.tgz'));
    fs.copyFileSync(path.join(folder, packed), tarball);
  } finally {
    git('worktree', 'remove', '--force', folder);
  }
  return tarball;
}

module.exports = { packPrevious, previousCommit };
