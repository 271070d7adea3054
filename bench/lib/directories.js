'use strict';
// All that a run writes, except its results, is below one temporary directory.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

let root;

function makeDirectory(prefix) {
  root ??= fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-bench-'));
  return fs.mkdtempSync(path.join(root, prefix));
}

function removeDirectories() {
  if (root) fs.rmSync(root, { recursive: true, force: true });
  root = undefined;
}

module.exports = { makeDirectory, removeDirectories };
