'use strict';

// What the addon learns of this process and its app.

const fs = require('node:fs');
const path = require('node:path');

/** What the addon is told of this process and the app of `script` (`AppInfo` of `src/status.rs`). */
function about(script) {
  return JSON.stringify({ node: process.version, root: rootOf(script) });
}

// The nearest directory with a package.json, as npm has it.
function rootOf(script) {
  const start = script ? path.dirname(path.resolve(script)) : process.cwd();
  for (let at = start; ; at = path.dirname(at)) {
    if (fs.existsSync(path.join(at, 'package.json'))) return at;
    if (at === path.dirname(at)) return start;
  }
}

module.exports = { about };
