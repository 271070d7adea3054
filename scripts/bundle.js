'use strict';

// Makes one file of all our JavaScript, as a release has it: to find, read and compile two dozen
// files is what a worker of ours would need most of its time for, before the user's code runs. What
// stands in for the addon is another file: a worker has no use for it. So is what finds the addon,
// by which the text of the one file gets into memory (`load-bundle.js`). What always holds: it is
// the same code, loaded in the same order, and a module is there once in a process, whether
// index.js or the preload asks for it.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.join(__dirname, '..');
const ESBUILD = path.join(ROOT, 'node_modules', '.bin', 'esbuild');
const BUNDLE = 'lib/cluster2-rs.js';
/** Loads the bundle. */
const LOADER = 'lib/load.js';
/** Files of their own. The same names from `lib/load-addon.js` and from the bundle. */
const FALLBACK = './fallback/addon';
const FIND = './find-addon';

/** Who asks for what: nothing runs before it is asked for. */
const ENTRIES = `
  exports.index = () => require('./index.js');
  exports.preload = () => require('./lib/preload.js');
`;

/** Names as `import` finds them: it reads the text of a CommonJS module, and runs nothing. */
const INDEX = `'use strict';

const Cluster = require('./${LOADER}').index();

module.exports = Cluster;
module.exports.Cluster = Cluster;
module.exports.ClusterError = Cluster.ClusterError;
module.exports.native = Cluster.native;
`;

// Node runs it in each thread that a worker starts, too.
const PRELOAD = `'use strict';

const at = process.execArgv.indexOf(__filename);
if (at > 0) process.execArgv.splice(at - 1, 2);
if (process.env.CLUSTER2_WORKER) require('./${path.basename(LOADER)}').preload();
`;

/** Makes one file of what `input` asks for, seen from the clone's folder. */
function make(outfile, input, more = []) {
  const target = ['--platform=node', '--target=node18.7'];
  const options = ['--bundle', ...target, '--log-level=warning', `--outfile=${outfile}`, ...more];
  // As a program: its own API leaves a process behind, which serves the next call.
  const stdio = ['pipe', 'inherit', 'inherit'];
  execFileSync(ESBUILD, options, { cwd: ROOT, input, stdio });
}

/** Writes `index.js` and `lib/` into a folder. */
function bundle(folder) {
  const apart = [FALLBACK, FIND].map((name) => `--external:${name}`);
  make(path.join(folder, BUNDLE), ENTRIES, apart);
  fs.copyFileSync(path.join(__dirname, 'load-bundle.js'), path.join(folder, LOADER));
  fs.copyFileSync(path.join(ROOT, 'lib', `${FIND}.js`), path.join(folder, 'lib', `${FIND}.js`));
  const fallback = path.join('lib', `${FALLBACK}.js`);
  make(path.join(folder, fallback), `module.exports = require('./${fallback}');`);
  fs.writeFileSync(path.join(folder, 'index.js'), INDEX);
  fs.writeFileSync(path.join(folder, 'lib', 'preload.js'), PRELOAD);
}

module.exports = { bundle };
