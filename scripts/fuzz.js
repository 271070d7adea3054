'use strict';

// Fuzzes what comes from outside: `npm run fuzz -- [seconds for each target, 600] [targets]`. Needs
// cargo-fuzz, whose own flags are a nightly compiler's; RUSTC_BOOTSTRAP makes any compiler take them.
// Works on a copy of the corpus: what it finds is kept by `cargo fuzz cmin`, see fuzz/README.md.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const FUZZ = path.join(__dirname, '..', 'fuzz');
const SECONDS = 600;

const targets = fs.readdirSync(path.join(FUZZ, 'fuzz_targets')).map((file) => path.basename(file, '.rs'));
const [seconds = SECONDS, ...asked] = process.argv.slice(2);
const unknown = asked.filter((name) => !targets.includes(name));
if (!(Number(seconds) > 0) || unknown.length > 0) {
  console.error(`usage: npm run fuzz -- [seconds] [${targets.join('|')} …]; got ${process.argv.slice(2).join(' ')}`);
  process.exit(2);
}

const failed = (asked.length > 0 ? asked : targets).filter((target) => {
  console.log(`== ${target}, ${seconds} s`);
  const corpus = path.join(FUZZ, 'target', 'corpus', target);
  fs.mkdirSync(corpus, { recursive: true });
  const limits = [`-max_total_time=${seconds}`, `-dict=${path.join(FUZZ, 'words.dict')}`, '-max_len=4096', '-verbosity=0'];
  const args = ['fuzz', 'run', '--sanitizer=none', target, corpus, path.join(FUZZ, 'corpus', target), '--', ...limits, '-print_final_stats=1'];
  const env = { ...process.env, RUSTC_BOOTSTRAP: '1' };
  const { status, error } = spawnSync('cargo', args, { cwd: FUZZ, env, stdio: 'inherit' });
  if (error) throw error;
  return status !== 0;
});
console.log(failed.length === 0 ? 'no findings' : `findings in: ${failed.join(', ')}; see fuzz/artifacts/`);
process.exitCode = failed.length === 0 ? 0 : 1;
