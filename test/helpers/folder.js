'use strict';

// Temporary folders of tests.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const folders = new Set();

/** Makes an empty folder, which `removeFolders` removes. Returns its path. */
function emptyFolder(prefix = 'cluster2-test-') {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), prefix)));
  folders.add(folder);
  return folder;
}

/** Removes the folders that `emptyFolder` made, with all that is in them. */
function removeFolders() {
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true });
  folders.clear();
}

module.exports = { emptyFolder, removeFolders };
