'use strict';

// The help, completions and manual pages of the command line.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { cluster2 } = require('../helpers/cli');
const { emptyFolder, removeFolders } = require('../helpers/folder');

describe('the definition of arguments generates', () => {
  let folder;
  beforeEach(() => (folder = emptyFolder()));
  afterEach(removeFolders);

  it('help that lists every exit code', () => {
    const { stdout } = cluster2(folder, '--help');
    for (const code of [0, 1, 2, 3, 255])
      assert.match(stdout, new RegExp(`^ {2}${code} +\\S`, 'm'));
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
});
