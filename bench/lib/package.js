'use strict';
// The package as a release has it, laid out as npm does, for the peers to require.

const fs = require('node:fs');
const path = require('node:path');
const { bundle } = require('../../scripts/bundle');
const { makeDirectory } = require('./directories');

const ROOT = path.join(__dirname, '..', '..');

let installed;

// Made for the first peer, and gone with the run. Not copied: the addon's pages are then those of
// every other user of it.
function packageFolder() {
  if (installed) return installed;
  const folder = makeDirectory('cluster2-rs-');
  bundle(folder);
  // The addons, and the command line, which a master becomes after an upgrade.
  const isBinary = (name) => /^cluster2-(rs|worker)\..*\.node$|^cluster2\.linux-/.test(name);
  const binaries = fs.readdirSync(ROOT).filter(isBinary);
  for (const name of binaries) fs.symlinkSync(path.join(ROOT, name), path.join(folder, name));
  return (installed = folder);
}

module.exports = { packageFolder };
