'use strict';

// Makes what a release publishes, as tarballs in dist/: the package `cluster2-rs` without binaries,
// and one package with the binaries for each platform, of the very same version. npm installs the
// one that fits, because each says its os, cpu and libc.
//
//   npm run release                 all platforms
//   npm run release -- --host       only this machine's own
//
// Nothing in the clone is changed. Ends with 1 if a platform could not be built; each is
// named with its outcome.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { NapiCli, parseTriple } = require('@napi-rs/cli');
const { build, hostTarget } = require('./build');
const { bundle } = require('./bundle');

const ROOT = path.join(__dirname, '..');
const DIST = path.join(ROOT, 'dist');
const MAIN = path.join(DIST, 'cluster2-rs');
const NPM = path.join(DIST, 'npm');
/** Enough for every distribution that Node 18 runs on; see also the README. */
const GLIBC = '2.17';
/** What `npm run release:tools` installs. */
const TOOLS = path.join(ROOT, 'target', 'zig', 'bin');

/** What `repository` in package.json has in place of its owner, as long as nobody has set it. */
const PLACEHOLDER = 'github.com/OWNER/';

const readJson = (file) => JSON.parse(fs.readFileSync(file, 'utf8'));
const writeJson = (file, value) => fs.writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
const SILENT = { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] };
const run = (program, ...args) => execFileSync(program, args, SILENT);
const platformOf = (target) => parseTriple(target).platformArchABI;

/**
 * The main package: what npm would take from the clone, its modules in one, without the binaries
 * and what only a clone needs.
 */
function stageMain() {
  const own = readJson(path.join(ROOT, 'package.json'));
  const { scripts: _scripts, devDependencies: _tools, overrides: _pins, napi, ...released } = own;
  const files = released.files.filter((name) => !name.includes('*'));
  const copied = [...files.filter((name) => !['index.js', 'lib/'].includes(name)), 'LICENSE'];
  for (const name of copied) {
    fs.cpSync(path.join(ROOT, name), path.join(MAIN, name), { recursive: true });
  }
  for (const name of ['README.md', 'CHANGELOG.md']) {
    const text = fs.readFileSync(path.join(ROOT, name), 'utf8');
    fs.writeFileSync(path.join(MAIN, name), asPublished(text, released));
  }
  bundle(MAIN);
  // Not by napi's pre-publish, which needs all platforms to be built here.
  const optionalDependencies = Object.fromEntries(
    napi.targets.map((target) => [`cluster2-rs-${platformOf(target)}`, released.version]));
  writeJson(path.join(MAIN, 'package.json'), { ...released, files, optionalDependencies });
  pack(MAIN);
}

/**
 * A document as npm shows it: without what holds only before the release, and with links into the
 * repository, at this version's tag, because the package does not hold what they lead to.
 */
function asPublished(text, { repository, version }) {
  const [, name] = repository.url.match(/github\.com\/(.+)\.git$/);
  const raw = `https://raw.githubusercontent.com/${name}/v${version}`;
  return text
    .replace(/<!-- unpublished[^]*?<!-- \/unpublished -->\n\n/g, '')
    .replace(/\]\((?!https?:|#)([^)\s]+)\)/g, `](https://github.com/${name}/blob/v${version}/$1)`)
    .replace(/\b(src|srcset)="(?!https?:)([^"]+)"/g, `$1="${raw}/$2"`);
}

/** Builds one platform's package into its folder. */
function buildPlatform(target) {
  const folder = path.join(NPM, platformOf(target));
  if (target !== hostTarget()) run('rustup', 'target', 'add', target);
  const libc = parseTriple(target).abi === 'gnu' ? `.${GLIBC}` : '';
  const files = build({ target: target + libc, outputDir: folder, crossCompile: true });
  // The package says for which platform it is; the addons say it to those who read a path.
  const names = files.map((file) => (file.endsWith('.node') ? file : 'cluster2'));
  files.forEach((file, at) => fs.renameSync(path.join(folder, file), path.join(folder, names[at])));
  fs.copyFileSync(path.join(ROOT, 'LICENSE'), path.join(folder, 'LICENSE'));
  const file = path.join(folder, 'package.json');
  const description = readJson(file);
  writeJson(file, { ...description, files: names });
  pack(folder);
}

/** Builds one platform, and says what became of it. */
function outcomeOf(target) {
  try {
    buildPlatform(target);
    return 'built';
  } catch (error) {
    return `FAILED: ${error.message}`;
  }
}

const pack = (folder) => run('npm', 'pack', '--silent', '--pack-destination', DIST, folder);

/** The targets that were asked for. */
function asked(targets, [option, ...rest]) {
  if (option === undefined) return targets;
  if (option !== '--host' || rest.length > 0) throw new Error('usage: npm run release [-- --host]');
  return targets.filter((target) => target === hostTarget());
}

function checkTools() {
  process.env.PATH = `${TOOLS}:${process.env.PATH}`;
  try {
    run('cargo-zigbuild', '--version');
  } catch (cause) {
    throw new Error('cargo-zigbuild and zig are missing: npm run release:tools', { cause });
  }
}

async function main() {
  const { napi } = readJson(path.join(ROOT, 'package.json'));
  const targets = asked(napi.targets, process.argv.slice(2));
  checkTools();
  fs.rmSync(DIST, { recursive: true, force: true });
  stageMain();
  await new NapiCli().createNpmDirs({ cwd: ROOT, npmDir: path.relative(ROOT, NPM) });
  const outcomes = [];
  for (const target of targets) {
    const outcome = outcomeOf(target);
    outcomes.push(`${platformOf(target)}: ${outcome}`);
    if (outcome !== 'built') process.exitCode = 1;
  }
  if (readJson(path.join(ROOT, 'package.json')).repository.url.includes(PLACEHOLDER)) {
    const what = 'set repository, homepage and bugs first';
    outcomes.push(`package.json: ${what}; ${PLACEHOLDER} is nobody`);
  }
  const tarballs = fs.readdirSync(DIST).filter((name) => name.endsWith('.tgz'));
  console.log([...outcomes, ...tarballs.map((name) => `dist/${name}`)].join('\n'));
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
