'use strict';

// Fuzzes what comes from outside: `npm run fuzz -- [seconds for each target, 600] [targets]`. Needs
// cargo-fuzz, whose own flags are a nightly compiler's; RUSTC_BOOTSTRAP makes any compiler take
// them. Works on a copy of the corpus: what it finds is kept by `cargo fuzz cmin`, see
// fuzz/README.md.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const FUZZ = path.join(__dirname, '..', 'fuzz');
const SECONDS = 600;

const files = fs.readdirSync(path.join(FUZZ, 'fuzz_targets'));
const targets = files.map((file) => path.basename(file, '.rs'));
const [seconds = SECONDS, ...asked] = process.argv.slice(2);
const unknown = asked.filter((name) => !targets.includes(name));
if (!(Number(seconds) > 0) || unknown.length > 0) {
  const got = process.argv.slice(2).join(' ');
  console.error(`usage: npm run fuzz -- [seconds] [${targets.join('|')} …]; got ${got}`);
  process.exit(2);
}

const failed = (asked.length > 0 ? asked : targets).filter((target) => {
  console.log(`== ${target}, ${seconds} s`);
  const corpus = path.join(FUZZ, 'target', 'corpus', target);
  fs.mkdirSync(corpus, { recursive: true });
  const kept = path.join(FUZZ, 'corpus', target);
  const dictionary = `-dict=${path.join(FUZZ, 'words.dict')}`;
  const limits = [`-max_total_time=${seconds}`, dictionary, '-max_len=4096'];
  const output = ['-verbosity=0', '-print_final_stats=1'];
  const run = ['fuzz', 'run', '--sanitizer=none', target, corpus, kept];
  const args = [...run, '--', ...limits, ...output];
  const env = { ...process.env, RUSTC_BOOTSTRAP: '1' };
  const { status, error } = spawnSync('cargo', args, { cwd: FUZZ, env, stdio: 'inherit' });
  if (error) throw error;
  return status !== 0;
});
const findings = `findings in: ${failed.join(', ')}; see fuzz/artifacts/`;
console.log(failed.length === 0 ? 'no findings' : findings);
process.exitCode = failed.length === 0 ? 0 : 1;
