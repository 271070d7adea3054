'use strict';

// This package in a new folder, laid out as package managers do, with its platform package where a
// test places it.

const fs = require('node:fs');
const path = require('node:path');
const { bundle } = require('../../scripts/bundle');
const folders = require('./folder');

const ROOT = path.join(__dirname, '..', '..');
/** The files of a clone in the released package, except its JavaScript. */
const RELEASED = ['bin', 'package.json'];

/** The platform of this machine as the files of the build name it, such as `linux-x64-gnu`. */
const PLATFORM = fs
  .readdirSync(ROOT)
  .map((name) => name.match(/^cluster2-rs\.(.+)\.node$/)?.[1])
  .find(Boolean);

/** The main addon, and the worker's. */
const ADDONS = ['cluster2-rs', 'cluster2-worker'];

/** Makes an empty folder with a space in its name, as users may have. */
const emptyFolder = () => folders.emptyFolder('cluster2 installed-');

/** Writes files by their paths. All are executable, because some are programs. */
function write(files) {
  for (const [file, content] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, content, { mode: 0o755 });
  }
}

/** Places the released package, without binaries, in the folder `place`. */
function placeMain(place) {
  for (const name of RELEASED)
    fs.cpSync(path.join(ROOT, name), path.join(place, name), { recursive: true });
  bundle(place);
}

/**
 * Places a platform package in the folder `place`: the real addons, and a command line.
 * @param {{ platform?: string, addon?: string|Buffer, program?: string }} [what] `addon` and
 *   `program`: contents of the files; `addon`: of both addons
 */
function placePlatform(place, { platform = PLATFORM, addon, program = '' } = {}) {
  write({
    [path.join(place, 'package.json')]: JSON.stringify({
      name: `cluster2-rs-${platform}`,
      version: '0.0.0',
      main: `${ADDONS[0]}.${platform}.node`,
    }),
    ...Object.fromEntries(ADDONS.map((name) => [
      path.join(place, `${name}.${platform}.node`),
      addon ?? fs.readFileSync(path.join(ROOT, `${name}.${PLATFORM}.node`)),
    ])),
    [path.join(place, 'cluster2')]: program,
  });
}

/**
 * The layouts of package managers: where each puts the main package and the platform package in a
 * project's folder.
 */
const LAYOUTS = {
  hoisted: { main: 'node_modules/cluster2-rs', platform: `node_modules/cluster2-rs-${PLATFORM}` },
  nested: {
    main: 'node_modules/cluster2-rs',
    platform: `node_modules/cluster2-rs/node_modules/cluster2-rs-${PLATFORM}`,
  },
  'a workspace’s root': {
    main: 'packages/app/node_modules/cluster2-rs',
    platform: `node_modules/cluster2-rs-${PLATFORM}`,
  },
  'as pnpm': {
    main: 'node_modules/.pnpm/cluster2-rs@0.0.0/node_modules/cluster2-rs',
    platform: `node_modules/.pnpm/cluster2-rs-${PLATFORM}@0.0.0/node_modules/cluster2-rs-${PLATFORM}`,
    links: {
      'node_modules/cluster2-rs': '.pnpm/cluster2-rs@0.0.0/node_modules/cluster2-rs',
      [`node_modules/.pnpm/cluster2-rs@0.0.0/node_modules/cluster2-rs-${PLATFORM}`]:
        `../../cluster2-rs-${PLATFORM}@0.0.0/node_modules/cluster2-rs-${PLATFORM}`,
    },
  },
};

/**
 * Makes a project with one of these layouts.
 * @param {keyof LAYOUTS} layout
 * @param {object} [what] as for `placePlatform`
 * @returns {{ folder: string, main: string, linked: string }} `main`: where the package is;
 *   `linked`: how the project sees it
 */
function lay(layout, what) {
  const { main, platform, links = {} } = LAYOUTS[layout];
  const folder = emptyFolder();
  placeMain(path.join(folder, main));
  placePlatform(path.join(folder, platform), what);
  for (const [link, target] of Object.entries(links))
    fs.symlinkSync(target, path.join(folder, link));
  const linked = path.join(folder, Object.keys(links)[0] ?? main);
  // As npm does for `bin` in package.json.
  const bin = path.join(path.dirname(linked), '.bin');
  fs.mkdirSync(bin);
  fs.symlinkSync('../cluster2-rs/bin/cluster2', path.join(bin, 'cluster2'));
  return { folder, main: path.join(folder, main), linked };
}

module.exports = {
  ADDONS,
  LAYOUTS,
  PLATFORM,
  ROOT,
  emptyFolder,
  lay,
  placeMain,
  placePlatform,
  removeFolders: folders.removeFolders,
  write,
};
