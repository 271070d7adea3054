'use strict';

const path = require('node:path');
const { appRoot } = require('../native');

/** This process and the app of `script` for the addon (`AppInfo` of `src/status.rs`), as JSON. */
function about(script) {
  const directory = script ? path.dirname(path.resolve(script)) : process.cwd();
  return JSON.stringify({
    node: process.version,
    root: appRoot(directory),
    script: script ? path.resolve(script) : null,
  });
}

module.exports = { about };
