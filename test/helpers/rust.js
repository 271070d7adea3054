'use strict';

// Rust sources as text.

const fs = require('node:fs');
const { relative } = require('./sources');

/** The lines of a Rust source: `code` without comments and texts, `raw` as they are. */
function readRust(file) {
  const raw = fs.readFileSync(file, 'utf8').split('\n');
  const code = raw.map((line) => line.replace(/"(\\.|[^"\\])*"/g, '""').replace(/\/\/.*$/, ''));
  return { file, name: relative(file), raw, code };
}

/** The lines of `code` outside of tests. A test module is the last thing in its file. */
function withoutTests(source) {
  const isTestFile = /(^|\/)(tests|simulation|[a-z_]+_tests)(\/\w+)?\.rs$/.test(source.name);
  const tests = source.code.findIndex(
    (line, index) =>
      line.trim() === '#[cfg(test)]' && /^\s*(#\[|(pub )?mod )/.test(source.code[index + 1]),
  );
  if (isTestFile) return [];
  return tests < 0 ? source.code : source.code.slice(0, tests);
}

module.exports = { readRust, withoutTests };
