'use strict';

// `kubernetes-validate` checks the manifests of the examples against the schemas of Kubernetes: the
// oldest version that the guide names, and the newest one. It is installed from its own list.

const assert = require('node:assert');
const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { INSTALL } = require('../helpers/own-packages');
const { need } = require('../helpers/tools');

const MANIFEST = path.join(__dirname, '..', '..', 'examples', 'container', 'kubernetes.yaml');
const LIST = path.join(__dirname, 'kubernetes', 'requirements.txt');
const VERSIONS = ['1.30', '1.37'];

describe('the manifests for Kubernetes', () => {
  let folder, program;
  before(function () {
    this.timeout(INSTALL);
    const [python] = need(this, 'python3');
    folder = emptyFolder();
    execFileSync(python, ['-m', 'venv', folder], { stdio: 'pipe' });
    const pip = path.join(folder, 'bin', 'pip');
    const quiet = ['--quiet', '--disable-pip-version-check'];
    execFileSync(pip, ['install', ...quiet, '--requirement', LIST], { stdio: 'pipe' });
    program = path.join(folder, 'bin', 'kubernetes-validate');
  });
  after(removeFolders);

  const validate = (version, file) =>
    spawnSync(program, ['--strict', '-k', version, file], { encoding: 'utf8' });

  for (const version of VERSIONS) {
    it(`are valid in Kubernetes ${version}`, () => {
      const { status, stdout, stderr } = validate(version, MANIFEST);
      assert.strictEqual(status, 0, stdout + stderr);
    });

    it(`with a mistyped field are not in ${version}`, () => {
      const wrong = path.join(folder, 'wrong.yaml');
      const text = fs.readFileSync(MANIFEST, 'utf8');
      fs.writeFileSync(wrong, text.replace('failureThreshold', 'failuresThreshold'));
      const { status, stdout, stderr } = validate(version, wrong);
      assert.notStrictEqual(status, 0);
      assert.match(stdout + stderr, /failuresThreshold/);
    });
  }
});
