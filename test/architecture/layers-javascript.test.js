'use strict';

// The direction of dependencies in the JavaScript, read from the sources.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { ROOT, filesIn, relative } = require('../helpers/sources');

const LIB = path.join(ROOT, 'lib');

/** For each room of lib, the rooms that it may use. All may use the files right in lib. */
const MAY_USE = {
  'node-internals': [],
  http: [],
  fallback: ['http'],
  cluster: [],
  app: ['http'],
  plain: ['http'],
  single: ['app', 'cluster', 'http'],
  master: ['app', 'cluster', 'http'],
  worker: ['app', 'cluster', 'http', 'plain'],
};
/** Files right in lib that may use a room. */
const ENTRIES = {
  'lib/preload.js': ['worker'],
  'lib/node-internals.js': ['node-internals'],
  'lib/load-addon.js': ['fallback'],
};

/** The folder of package.json, whose version all files may read. */
const OUTSIDE = '..';

/** Undocumented parts of Node: private properties, handles, parsers and hidden symbols. */
const INTERNAL = [
  /(?<!this)\._[a-z]/,
  /\{[^}]*\b_[a-z]\w*[^}]*\} = /,
  /\bgetOwnPropertySymbols\b/,
  /\bprocess\.binding\b/,
  /\.parser\b/,
  /\bonconnection\b/,
  /\.(shouldKeepAlive|chunkedEncoding)\b/,
  /\bexitedAfterDisconnect\b/,
  /\b(stream|socket)\.server\b/,
];

const isOurs = (name) => name.startsWith('.');

/** The modules that a file requires or imports, also inside functions. */
function requiredBy(file) {
  const source = fs.readFileSync(file, 'utf8');
  return [...source.matchAll(/\b(?:require|import)\('([^']+)'\)/g)].map(([, name]) => name);
}

/** Our own files that a file requires. */
function neighbours(file) {
  const names = requiredBy(file).filter(isOurs);
  return names.map((name) => require.resolve(path.resolve(path.dirname(file), name)));
}

/** The room of a file, or '' for a file right in lib. */
function roomOf(file) {
  const folder = path.relative(LIB, path.dirname(file));
  return folder.split(path.sep)[0];
}

/** Returns the first circle of files that require each other. */
function findCircle(files) {
  const done = new Set();
  const visit = (file, path) => {
    const at = path.indexOf(file);
    if (at >= 0) return [...path.slice(at), file].map(relative);
    if (done.has(file)) return undefined;
    done.add(file);
    for (const next of neighbours(file)) {
      const circle = visit(next, [...path, file]);
      if (circle) return circle;
    }
    return undefined;
  };
  return files.map((file) => visit(file, [])).find(Boolean);
}

describe('the modules in JavaScript', () => {
  const files = filesIn(LIB, '.js');

  it('index.js uses lib and Node, nothing else', () => {
    const others = requiredBy(path.join(ROOT, 'index.js')).filter(
      (name) => !name.startsWith('node:'),
    );
    assert.deepStrictEqual(
      others.filter((name) => !name.startsWith('./lib/')),
      [],
    );
  });

  it('lib uses lib and Node, and never index.js', () => {
    const version = path.join(ROOT, 'package.json');
    const others = files.flatMap((file) => {
      const foreign = requiredBy(file).filter((name) => !name.startsWith('node:') && !isOurs(name));
      const isOutside = (name) => !name.startsWith(LIB + path.sep) && name !== version;
      const outside = neighbours(file).filter(isOutside);
      return [...foreign, ...outside].map((name) => `${relative(file)}: ${name}`);
    });
    assert.deepStrictEqual(others, []);
  });

  it('a room uses only the rooms below it', () => {
    const upwards = files.flatMap((file) => {
      const room = roomOf(file);
      const allowed = room === '' ? (ENTRIES[relative(file)] ?? []) : MAY_USE[room];
      assert.ok(allowed, `lib/${room} has no place in the layers`);
      const used = neighbours(file)
        .map(roomOf)
        .filter((name) => !['', OUTSIDE, room].includes(name));
      return used
        .filter((name) => !allowed.includes(name))
        .map((name) => `${relative(file)} uses ${name}`);
    });
    assert.deepStrictEqual(upwards, []);
  });

  it('no files require each other in a circle, not even inside functions', () => {
    assert.strictEqual(findCircle([path.join(ROOT, 'index.js'), ...files]), undefined);
  });

  it('only lib/node-internals uses what Node does not document', () => {
    const others = files.filter((file) => roomOf(file) !== 'node-internals');
    const touching = others.flatMap((file) => {
      const code = fs
        .readFileSync(file, 'utf8')
        .replace(/\/\*[^]*?\*\/|^\s*\/\/.*$|'[^'\n]*'/gm, '');
      return INTERNAL.filter((pattern) => pattern.test(code)).map(
        (pattern) => `${relative(file)}: ${pattern}`,
      );
    });
    assert.deepStrictEqual(touching, []);
  });

  // A release has all modules in one file right in lib.
  it('only files right in lib use their own path', () => {
    const asking = files.filter((file) =>
      /\b__(dir|file)name\b/.test(fs.readFileSync(file, 'utf8')),
    );
    assert.deepStrictEqual(asking.filter((file) => path.dirname(file) !== LIB).map(relative), []);
  });

  it('the addon is found in one place, and loaded in one', () => {
    const having = (words) => files.filter((file) => words.test(fs.readFileSync(file, 'utf8')));
    assert.deepStrictEqual(
      having(/require\.resolve\((?!')/).map(relative),
      ['lib/find-addon.js'],
    );
    assert.deepStrictEqual(having(/require\((?!')/).map(relative), ['lib/load-addon.js']);
  });
});

describe('Rust and JavaScript agree on', () => {
  it('the fields of a row on the scoreboard', () => {
    const { FIELDS } = require('../../lib/http/counters');
    const { NativeWorker } = require('../../lib/native');
    assert.deepStrictEqual(FIELDS, NativeWorker.fields());
  });

  it('the error codes, also those that only JavaScript throws', () => {
    const sources = [path.join(ROOT, 'index.js'), ...filesIn(LIB)];
    const text = sources.map((file) => fs.readFileSync(file, 'utf8')).join('\n');
    const thrown = new Set(text.match(/CLUSTER2_ERR_[A-Z_]*[A-Z]/g));
    thrown.delete('CLUSTER2_ERR_OPTION');
    const known = require('../../lib/native').errorCodes();
    assert.deepStrictEqual([...thrown].filter((code) => !known.includes(code)), []);
    assert.strictEqual(new Set(known).size, known.length);
  });
});
