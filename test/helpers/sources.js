'use strict';

// The project's own source files, for tests that read them.

const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..');

/** The paths of all files below `directory` whose name ends with `extension`. */
function filesIn(directory, extension) {
  const entries = fs.readdirSync(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith(extension));
  return files.map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}

/** The path of a file from the root of the project. */
const relative = (file) => path.relative(ROOT, file);

module.exports = { ROOT, filesIn, relative };
