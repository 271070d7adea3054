'use strict';

// The direction of dependencies and the house rules in Rust, read from the sources.

const assert = require('node:assert');
const path = require('node:path');
const { readRust, withoutTests } = require('../helpers/rust');
const { ROOT, filesIn } = require('../helpers/sources');

/** The crates: the folders of their sources, and their names in code. */
const CRATES = {
  'src': 'cluster2_rs',
  'addons/main/src': 'cluster2_main_addon',
  'addons/shared/src': 'cluster2_shared_addon',
  'addons/worker/src': 'cluster2_worker_addon',
};

/** The rooms that each room may use. The lowest rooms come first. */
const BASE = ['error', 'changed', 'clock', 'config', 'counts', 'quota', 'protocol', 'os'];
const MAY_USE = {
  error: [],
  changed: [],
  single_flight: [],
  clock: [],
  counts: [],
  quota: [],
  connection_limit: [],
  log: [],
  config: ['error'],
  protocol: ['error', 'counts'],
  os: ['error'],
  balancing: ['clock', 'config', 'protocol'],
  supervision: ['clock', 'config', 'protocol'],
  handover: ['clock', 'protocol'],
  connection: ['protocol', 'os'],
  listeners: ['connection', ...BASE],
  overload: ['balancing', 'connection', 'listeners', ...BASE],
  dispatcher: ['balancing', 'connection', 'listeners', 'overload', ...BASE],
  worker: ['balancing', ...BASE],
  worker_logs: ['error', 'os'],
  embedder: BASE,
  health: ['embedder', 'single_flight', ...BASE],
  remote: ['connection_limit', ...BASE],
  monitor: ['health', 'embedder', 'connection_limit', 'single_flight', ...BASE],
  usage: ['os'],
  status: ['usage', ...BASE],
  single: ['worker', 'health', 'monitor', 'embedder', 'status', 'usage', ...BASE],
  master: [
    'supervision',
    'handover',
    'dispatcher',
    'listeners',
    'overload',
    'health',
    'monitor',
    'remote',
    'embedder',
    'status',
    'usage',
    'worker_logs',
    ...BASE,
  ],
  'addons/shared': ['worker', 'worker_logs', 'health', 'log', ...BASE],
  'addons/worker': [],
  'addons/main': ['master', 'single', 'health', 'remote', 'embedder', 'log', ...BASE],
  bin: ['master', 'monitor', 'remote', 'embedder', 'status', 'log', ...BASE],
};

/** Rooms that only decide. Others act. */
const PURE = ['balancing', 'clock', 'handover', 'supervision'];

const rust = Object.keys(CRATES).flatMap((folder) =>
  filesIn(path.join(ROOT, folder), '.rs').map(readRust));

/** The folder of a file's crate. */
const folderOf = ({ name }) => Object.keys(CRATES).find((folder) => name.startsWith(`${folder}/`));

/** The module a file belongs to: an addon, or the first name below src. */
function moduleOf(source) {
  const [, addon] = source.name.match(/^(addons\/\w+)\//) ?? [];
  return addon ?? source.name.split('/')[1].replace(/\.rs$/, '');
}

/** The path of a source as modules: `src/a/b.rs` and `src/a/b/mod.rs` are `cluster2_rs::a::b`. */
function pathOf(source) {
  const folder = folderOf(source);
  const name = source.name.slice(folder.length).replace(/(\/mod|\/lib)?\.rs$/, '');
  return CRATES[folder] + name.replaceAll('/', '::');
}

/** Each `use` tree as single paths: `a::{b, c::d}` is `a::b` and `a::c::d`. */
function expand(tree, prefix = '') {
  const [, head, body] = tree.trim().match(/^((?:\w+::)*)\{([^]*)\}$/) ?? [];
  if (body === undefined) return [prefix + tree.trim()];
  const parts = [''];
  let depth = 0;
  for (const letter of body) {
    depth += { '{': 1, '}': -1 }[letter] ?? 0;
    if (letter === ',' && depth === 0) parts.push('');
    else parts[parts.length - 1] += letter;
  }
  return parts.filter((part) => part.trim()).flatMap((part) => expand(part, prefix + head));
}

/** The files that each file names, by `use` or by a path. A facade names its own files too. */
function importsOf(sources) {
  const files = new Map(sources.map((source) => [pathOf(source), source.name]));
  const crates = Object.values(CRATES);
  const resolve = (segments) => {
    for (let length = segments.length; length > 1; length -= 1) {
      const file = files.get(segments.slice(0, length).join('::'));
      if (file) return file;
    }
    return null;
  };
  return new Map(
    sources.map((source) => {
      const here = pathOf(source).split('::');
      const code = withoutTests(source).join('\n');
      const path = '[\\w:]*(?:\\{[^;]*\\}(?=;))?';
      const anywhere = `(?<!\\bin )\\b((?:crate|super|self|cluster2_\\w+)::${path})`;
      const find = (what) => [...code.matchAll(new RegExp(what, 'g'))].map(([, tree]) => tree);
      const children = find(`\\buse\\s+(\\w+::${path})`).map((tree) => `self::${tree}`);
      const named = [...find(anywhere), ...children]
        .flatMap((tree) => expand(tree))
        .map((name) => {
          const segments = name.split('::');
          if (crates.includes(segments[0])) return resolve(segments);
          const base = segments[0] === 'crate' ? [here[0]] : [...here];
          while (['crate', 'super', 'self'].includes(segments[0]))
            if (segments.shift() === 'super') base.pop();
          return resolve([...base, ...segments]);
        });
      return [source.name, new Set(named.filter((file) => file && file !== source.name))];
    }),
  );
}

/** Groups of files in which each file reaches each other one by imports. */
function circlesOf(imports) {
  const reach = (from) => {
    const seen = new Set();
    const next = [...(imports.get(from) ?? [])];
    while (next.length > 0) {
      const file = next.pop();
      if (!seen.has(file)) next.push(...(imports.get(seen.add(file) && file) ?? []));
    }
    return seen;
  };
  const reached = new Map([...imports.keys()].map((file) => [file, reach(file)]));
  const circles = new Map();
  for (const [file, seen] of reached) {
    if (!seen.has(file)) continue;
    const circle = [...reached.keys()]
      .filter((other) => seen.has(other) && reached.get(other).has(file))
      .sort();
    circles.set(circle.join(), circle);
  }
  return [...circles.values()];
}

describe('the modules in Rust', () => {
  it('all have a place in the layers', () => {
    const modules = new Set(rust.map(moduleOf));
    modules.delete('lib');
    for (const name of modules) assert.ok(MAY_USE[name], `src/${name} has no place in the layers`);
  });

  it('use only what is below them', () => {
    const upwards = rust
      .filter((source) => moduleOf(source) !== 'lib')
      .flatMap((source) => {
        const own = folderOf(source) === 'src' ? 'crate|cluster2_rs' : 'cluster2_rs';
        const used = source.code
          .join('\n')
          .matchAll(new RegExp(`\\b(?:${own})::(\\{[^}]*\\}|\\w+)`, 'g'));
        const names = [...used].flatMap(
          ([, names]) => names.match(/\b[a-z]\w*(?=\s*(?:::|,|\}|$))|^\w+/g) ?? [],
        );
        const allowed = [...MAY_USE[moduleOf(source)], moduleOf(source)];
        return names
          .filter((name) => name in MAY_USE && !allowed.includes(name))
          .map((name) => `${source.name} uses ${name}`);
      });
    assert.deepStrictEqual(upwards, []);
  });

  it('hold no files that name each other in a circle', () => {
    const circles = circlesOf(importsOf(rust.filter((source) => withoutTests(source).length > 0)));
    assert.deepStrictEqual(circles, []);
  });

  it('know Node-API only in the addons', () => {
    const others = rust.filter(
      (source) =>
        !moduleOf(source).startsWith('addons/') &&
        source.code.some((line) => /\bnapi(_derive)?::|#\[napi/.test(line)),
    );
    assert.deepStrictEqual(
      others.map(({ name }) => name),
      [],
    );
  });

  it('reach the operating system’s raw interface only in os', () => {
    const others = rust.filter(
      (source) => moduleOf(source) !== 'os' && source.code.some((line) => /\blibc::/.test(line)),
    );
    assert.deepStrictEqual(
      others.map(({ name }) => name),
      [],
    );
  });

  it('have neither clock, threads nor I/O where they only decide', () => {
    const impure =
      /\bstd::(time|thread|net::(?!Ip)|fs|io|process|os)\b|\b(tokio|rustix|nix|socket2)::/;
    const pure = rust.filter((source) => PURE.includes(moduleOf(source)));
    const others = pure.filter((source) => withoutTests(source).some((line) => impure.test(line)));
    assert.deepStrictEqual(others.map(({ name }) => name), []);
  });
});

describe('the house rules in Rust', () => {
  /** The indices of lines with `unsafe` as a word, not as part of a lint's name. */
  const unsafeLines = (source) =>
    source.code.flatMap((line, index) => (/\bunsafe\b/.test(line) ? [index] : []));

  it('unsafe code is only in os, and in three files of an addon that call Node-API', () => {
    const elsewhere = rust.filter(
      (source) => moduleOf(source) !== 'os' && unsafeLines(source).length > 0,
    );
    assert.deepStrictEqual(
      elsewhere.map((source) => `${source.name}: ${unsafeLines(source).length}`),
      [
        'addons/shared/src/callback.rs: 8',
        'addons/shared/src/release_code.rs: 8',
        'addons/shared/src/shared_memory.rs: 1',
      ],
    );
  });

  it('each unsafe block and impl has its reason directly above, after SAFETY:', () => {
    const bare = rust.flatMap((source) =>
      unsafeLines(source)
        .filter((index) => /\bunsafe (\{|impl\b)/.test(source.code[index]))
        .filter((index) => !hasReason(source, index))
        .map((index) => `${source.name}:${index + 1}`),
    );
    assert.deepStrictEqual(bare, []);
  });

  function hasReason({ raw }, index) {
    let above = index - 1;
    while (/^\s*#\[/.test(raw[above])) above -= 1;
    let reason = '';
    for (; /^\s*\/\/(?!\/)/.test(raw[above]); above -= 1) reason = raw[above] + reason;
    return /^\s*\/\/ SAFETY: \S/.test(reason);
  }

  it('nothing unwraps or expects, except in tests', () => {
    const found = rust.flatMap((source) =>
      withoutTests(source).flatMap((line, index) =>
        /\.(unwrap|expect|unwrap_err|expect_err)\(/.test(line)
          ? [`${source.name}:${index + 1}`]
          : [],
      ),
    );
    assert.deepStrictEqual(found, []);
  });
});
