'use strict';

// Where an app lies, and what people call it, as `src/config/rules.rs` says.

const fs = require('node:fs');
const path = require('node:path');

/** As `app_root`. */
function appRoot(directory) {
  for (let above = directory; ; above = path.dirname(above)) {
    if (fs.existsSync(path.join(above, 'package.json'))) return above;
    if (above === path.dirname(above)) return directory;
  }
}

/** As `app_name`. */
function appName(root) {
  try {
    const { name } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
    if (typeof name === 'string' && name !== '') return name;
  } catch {
    // The directory has a name too.
  }
  return path.basename(root) || root;
}

module.exports = { appName, appRoot };
