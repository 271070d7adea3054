'use strict';

// The help, completions and manual pages of the command line.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { cluster2 } = require('../helpers/cli');
const { CLI } = require('../helpers/cluster');
const { emptyFolder, removeFolders } = require('../helpers/folder');

describe('the definition of arguments generates', () => {
  let folder;
  beforeEach(() => (folder = emptyFolder()));
  afterEach(removeFolders);

  it('help that lists every exit code', () => {
    const { stdout } = cluster2(folder, '--help');
    for (const code of [0, 1, 2, 3, 70, 255])
      assert.match(stdout, new RegExp(`[:,] *${code} [a-z]`));
  });

  it('help with all commands in groups, which fits a screen of 80 columns', () => {
    const { stdout } = cluster2(folder, '--help');
    const lines = stdout.trimEnd().split('\n');
    assert.ok(lines.length <= 30, `${lines.length} lines`);
    const groups = stdout.match(/^[A-Z][a-z]+(?= +[a-z-]{2,} +[A-Z])/gm);
    assert.deepStrictEqual(groups, ['Run', 'Change', 'Look', 'Other']);
    assert.strictEqual(stdout.match(/^[A-Za-z ]{7}[a-z-]+ +[A-Z]/gm).length, 22);
    for (const line of lines) assert.ok(line.length <= 80, line);
  });

  it('help for start: common options by -h, and all options under headings by --help', () => {
    const all = cluster2(folder, 'start', '--help').stdout;
    const headings = all.match(/^[A-Z][a-z ]+:$/gm);
    assert.deepStrictEqual(headings.sort(), [
      'Arguments:', 'Connections:', 'Health check:', 'Monitor and output:', 'Options:',
      'Reloads and the end:', 'Workers:',
    ]);
    const [, few] = all.match(/^Options:\n([^]*?)\n[A-Z]/m);
    assert.deepStrictEqual(few.match(/--[a-z]+/g), ['--config', '--app', '--help']);
    const short = cluster2(folder, 'start', '-h').stdout;
    const shown = short.split('\n');
    assert.ok(shown.length <= 38, `${shown.length} lines`);
    const inFew = short.match(/(?<=^ {6}|, )--[a-z-]+/gm);
    assert.deepStrictEqual(inFew, [
      '--config', '--app', '--help', '--workers', '--max-workers', '--no-listen',
      '--mem-threshold', '--exec-argv', '--env', '--name', '--output', '--mon-port', '--port',
      '--host', '--start-timeout', '--shutdown-timeout',
    ]);
    assert.match(short, /^All options: cluster2 start --help\./m);
    for (const line of [...shown, ...all.split('\n')]) assert.ok(line.length <= 80, line);
  });

  it('completions that know values', () => {
    const offered = (...words) => {
      const script =
        'cluster2 completions bash > c; source ./c; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _cluster2 cluster2 "${@: -1}" "${@: -2:1}"; echo "${COMPREPLY[*]}"';
      const run = spawnSync('bash', ['-c', script, 'bash', 'cluster2', ...words], {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, PATH: `${path.dirname(CLI)}:${process.env.PATH}` },
      });
      return run.stdout.trim();
    };
    assert.strictEqual(
      offered('start', '--balance', ''),
      'least-connections round-robin ip-hash',
    );
    assert.strictEqual(offered('start', '--output', 'f'), 'files');
    assert.strictEqual(offered('start', '--workers', ''), 'max');
    assert.strictEqual(offered('completions', 'f'), 'fish');
  });

  it('completions that bash accepts', () => {
    const { stdout } = cluster2(folder, 'completions', 'bash');
    fs.writeFileSync(path.join(folder, 'completions'), stdout);
    const script =
      'source ./completions; COMP_WORDS=(cluster2 sta); COMP_CWORD=1; _cluster2 cluster2 sta cluster2; echo "${COMPREPLY[*]}"';
    assert.strictEqual(
      spawnSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8' }).stdout,
      'start status stack\n',
    );
  });

  it('a manual page for the program and for each command', () => {
    assert.match(cluster2(folder, 'man').stdout, /^\.TH cluster2 1 /m);
    assert.match(cluster2(folder, 'man', 'start').stdout, /\\-\\-mem\\-threshold/);
    assert.strictEqual(cluster2(folder, 'man', 'nothing').status, 2);
  });

  it('manual pages with environment variables and exit codes', () => {
    const variables = (...args) => {
      const { stdout } = cluster2(folder, 'man', ...args);
      const [, section] = stdout.match(/^\.SH ENVIRONMENT\n([^]*?)^\.SH "EXIT STATUS"\n/m);
      return section.match(/(?<=\\fB)[A-Z0-9_]+/g);
    };
    assert.ok(variables().includes('CLUSTER2_CONFIG'));
    assert.ok(variables().includes('CLUSTER2_LOG'));
    const { stdout } = cluster2(folder, 'start', '--help');
    const flags = stdout.match(/(?<=\[env: )[A-Z0-9_]+/g);
    assert.ok(flags.length > 30);
    const missing = flags.filter((name) => !variables('start').includes(name));
    assert.deepStrictEqual(missing, []);
  });
});
