'use strict';

// The direction of dependencies and the rules of the house in Rust, read off the sources.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { ROOT, filesIn, relative } = require('../helpers/sources');

const SOURCES = path.join(ROOT, 'src');

/** What each Rust module may use: everything below it, nothing beside it but what is named. */
const MAY_USE = {
  bin: ['runtime', 'http', 'ipc', 'sys', 'core', 'config', 'error'],
  binding: ['runtime', 'http', 'ipc', 'sys', 'core', 'config', 'error'],
  runtime: ['http', 'ipc', 'sys', 'core', 'config', 'error'],
  http: ['ipc', 'config', 'error', 'sys'],
  ipc: ['config', 'error'],
  sys: ['config', 'error'],
  core: ['config', 'error'],
  config: ['error'],
  error: [],
};

/** A Rust source as lines, comments and texts emptied; `raw` as they are. */
function readRust(file) {
  const raw = fs.readFileSync(file, 'utf8').split('\n');
  const code = raw.map((line) => line.replace(/"(\\.|[^"\\])*"/g, '""').replace(/\/\/.*$/, ''));
  return { file, name: relative(file), raw, code };
}

/** The part that is no test: a test module is the last thing in its file. */
function withoutTests(source) {
  const isTestFile = /(^|\/)(tests|simulation|[a-z_]+_tests)\.rs$/.test(source.name);
  const tests = source.code.findIndex((line, index) => line.trim() === '#[cfg(test)]' && /^\s*(#\[|(pub )?mod )/.test(source.code[index + 1]));
  if (isTestFile) return [];
  return tests < 0 ? source.code : source.code.slice(0, tests);
}

const rust = filesIn(SOURCES, '.rs').map(readRust);

/** The module a file belongs to: the first name below src. */
const moduleOf = (source) => path.relative(SOURCES, source.file).split(path.sep)[0].replace(/\.rs$/, '');

describe('the modules in Rust', () => {
  it('are those that the layers name', () => {
    const modules = new Set(rust.map(moduleOf));
    modules.delete('lib');
    for (const name of modules) assert.ok(MAY_USE[name], `src/${name} has no place in the layers`);
  });

  it('use only what is below them', () => {
    const upwards = rust
      .filter((source) => moduleOf(source) !== 'lib')
      .flatMap((source) => {
        const used = source.code.join('\n').matchAll(/\b(?:crate|cluster2_rs)::(\{[^}]*\}|\w+)/g);
        const names = [...used].flatMap(([, names]) => names.match(/\b[a-z]\w*(?=\s*(?:::|,|\}|$))|^\w+/g) ?? []);
        const allowed = [...MAY_USE[moduleOf(source)], moduleOf(source)];
        return names.filter((name) => name in MAY_USE && !allowed.includes(name)).map((name) => `${source.name} uses ${name}`);
      });
    assert.deepStrictEqual(upwards, []);
  });

  it('know Node-API only in binding', () => {
    const others = rust.filter((source) => moduleOf(source) !== 'binding' && source.code.some((line) => /\bnapi(_derive)?::|#\[napi/.test(line)));
    assert.deepStrictEqual(others.map(({ name }) => name), []);
  });

  it('reach the operating system’s raw interface only in sys', () => {
    const others = rust.filter((source) => moduleOf(source) !== 'sys' && source.code.some((line) => /\blibc::/.test(line)));
    assert.deepStrictEqual(others.map(({ name }) => name), []);
  });

  it('have neither clock, threads nor I/O in core', () => {
    const impure = /\bstd::(time|thread|net::(?!Ip)|fs|io|process|os)\b|\b(tokio|rustix|nix|socket2)::/;
    const others = rust.filter((source) => moduleOf(source) === 'core' && withoutTests(source).some((line) => impure.test(line)));
    assert.deepStrictEqual(others.map(({ name }) => name), []);
  });
});

describe('the rules of the house in Rust', () => {
  /** Lines with the word `unsafe` as code, not as part of a lint's name. */
  const unsafeLines = (source) => source.code.flatMap((line, index) => (/\bunsafe\b/.test(line) ? [index] : []));

  it('unsafe stands only in sys, and in the two places where the binding calls Node-API itself', () => {
    const elsewhere = rust.filter((source) => moduleOf(source) !== 'sys' && unsafeLines(source).length > 0);
    assert.deepStrictEqual(elsewhere.map((source) => `${source.name}: ${unsafeLines(source).length}`), ['src/binding/callback.rs: 2', 'src/binding/mod.rs: 1']);
  });

  it('each unsafe has its reason directly above, after SAFETY:', () => {
    const bare = rust.flatMap((source) =>
      unsafeLines(source).filter((index) => !hasReason(source, index)).map((index) => `${source.name}:${index + 1}`));
    assert.deepStrictEqual(bare, []);
  });

  function hasReason({ raw }, index) {
    let above = index - 1;
    while (/^\s*#\[/.test(raw[above])) above -= 1;
    let reason = '';
    for (; /^\s*\/\/(?!\/)/.test(raw[above]); above -= 1) reason = raw[above] + reason;
    return /^\s*\/\/ SAFETY: \S/.test(reason);
  }

  it('nothing unwraps or expects, but in tests', () => {
    const found = rust.flatMap((source) =>
      withoutTests(source).flatMap((line, index) => (/\.(unwrap|expect|unwrap_err|expect_err)\(/.test(line) ? [`${source.name}:${index + 1}`] : [])));
    assert.deepStrictEqual(found, []);
  });

  it('each thread is guarded: one that panics ends the process', () => {
    const bare = /\bthread::(Builder|spawn)\b/;
    const found = rust.filter((source) => withoutTests(source).some((line) => bare.test(line)));
    // `commands.rs`: of a command that asks another process, and ends with the answer.
    assert.deepStrictEqual(found.map(({ name }) => name), ['src/bin/cluster2/commands.rs']);
    const thread = rust.find(({ name }) => name === 'src/runtime/thread.rs');
    assert.match(thread.code.join('\n'), /Builder::new\(\)[^;]*\{\s*let _guard = Guard\(name\);/);
  });

  it('nothing panics on purpose, but in tests', () => {
    const panics = /\b(panic|todo|unimplemented|unreachable)!\(/;
    const found = rust.filter((source) => withoutTests(source).some((line) => panics.test(line)));
    assert.deepStrictEqual(found.map(({ name }) => name), []);
  });
});
