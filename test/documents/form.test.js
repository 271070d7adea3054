'use strict';

// The form of all documents: links that lead somewhere, lines that fit a terminal, one word for one
// thing.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..');
const WIDTH = 100;
const FILES = execFileSync('git', ['ls-files', '*.md'], { cwd: ROOT, encoding: 'utf8' })
  .split('\n')
  .filter(Boolean);
const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

/** The lines outside of code and of the report by `npm run bench`, with their numbers. */
function prose(file) {
  let fenced = false;
  let reported = false;
  return read(file).split('\n').flatMap((line, index) => {
    if (/^<!-- \/?report/.test(line)) reported = !line.startsWith('<!-- /');
    const fence = /^ *```/.test(line);
    if (fence) fenced = !fenced;
    return fenced || fence || reported ? [] : [{ line, where: `${file}:${index + 1}` }];
  });
}

/** The comment lines of a source file, or all lines of a `.d.ts` file, with their numbers. */
function comments(file) {
  const isComment = (line) => file.endsWith('.d.ts') || /^\s*(?:\/\/|\/?\*|#!? )/.test(line);
  return read(file)
    .split('\n')
    .map((line, index) => ({ line, where: `${file}:${index + 1}` }))
    .filter(({ line }) => isComment(line));
}

/** Words that are not used any more, and their replacements. */
const FORMER = {
  '(?:the|a|shut|whole) doors?': 'listener set; stop admitting, close to new clients',
  tournament: 'min-tree',
  'how-manieth': 'nth',
  anew: 'again',
  'but for': 'except',
  'mend(?:s|ed)?': 'fix',
  'is no JSON': 'is not valid JSON',
  'who is told': 'a noun',
  'as it were': 'nothing',
  beneath: 'contained files; in',
  crew: 'membership',
  'enrol(?:s|led)?': 'reindex',
  'last words': 'uncaught error',
  'what was counted': 'a noun',
  'that is none': 'an adjective: invalid',
  'see the module.s text': 'what it is',
};

const SOURCES = execFileSync(
  'git',
  ['ls-files', 'addons', 'bench', 'benches', 'bin', 'lib', 'scripts', 'src', 'test', '*.d.ts'],
  { cwd: ROOT, encoding: 'utf8' },
)
  .split('\n')
  .filter((file) => /\.(rs|js|mjs|cjs|ts)$/.test(file) && !file.endsWith('form.test.js'));

describe('the documents', () => {
  it('are found', () => assert.ok(FILES.length > 20 && FILES.includes('README.md'), FILES.join()));

  it('begin with a README of at most 200 lines', () =>
    assert.ok(read('README.md').split('\n').length <= 200));

  it(`have lines of at most ${WIDTH} characters, outside of code and figures`, () => {
    const long = FILES.flatMap(prose).filter(({ line }) => line.length > WIDTH);
    assert.deepStrictEqual(long.map(({ where, line }) => `${where}: ${line.length}`), []);
  });

  it('use the current words, and so do the comments of the sources', () => {
    const all = [...FILES.flatMap(prose), ...SOURCES.flatMap(comments)];
    const lines = all.map(({ line, where }) => ({
      where,
      line: line.replace(/`[^`]*`/g, ''),
    }));
    const found = Object.entries(FORMER).flatMap(([word, now]) => {
      const former = new RegExp(`\\b${word}\\b`, 'i');
      const uses = lines.filter(({ line }) => former.test(line));
      return uses.map(({ where }) => `${where}: '${word}' is now '${now}'`);
    });
    assert.deepStrictEqual(found, []);
  });

  it('link only to files and headings that exist', () => {
    const anchor = (title) => title.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-');
    const wrong = [];
    for (const file of FILES) {
      const text = read(file);
      const links = [
        ...text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g),
        ...text.matchAll(/\b(?:src|srcset)="(?!https?:)([^"]+)"/g),
      ];
      for (const [, link] of links) {
        const [name, heading] = link.split('#');
        const target = name ? path.join(ROOT, path.dirname(file), name) : path.join(ROOT, file);
        const titles = () =>
          [...fs.readFileSync(target, 'utf8').matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
            anchor(title),
          );
        if (!fs.existsSync(target) || (heading && !titles().includes(heading)))
          wrong.push(`${file}: ${link}`);
      }
    }
    assert.deepStrictEqual(wrong, []);
  });

  it('name tests that exist', () => {
    const [promises] = read('docs/internals/continuity.md').split('\n## How often');
    const named = [...promises.matchAll(/`([a-z]+\/[a-z0-9-]+)`/g)];
    const missing = named.filter(
      ([, name]) => !fs.existsSync(path.join(ROOT, 'test', `${name}.test.js`)),
    );
    assert.ok(named.length > 40, `only ${named.length}`);
    assert.deepStrictEqual(missing.map(([, name]) => name), []);
  });

  describe('of the architecture', () => {
    const text = read('docs/internals/architecture.md');
    const tracked = execFileSync('git', ['ls-files'], { cwd: ROOT, encoding: 'utf8' }).split('\n');
    it('have a list of at most 20 words', () => {
      const [, words] = text.match(/## Words\n([^]*?)\n## /);
      assert.ok(words.match(/^\| /gm).length - 2 <= 20);
    });

    const named = (part) => [...part.matchAll(/`([\w./-]+\.(?:rs|js))`/g)].map(([, name]) => name);

    it('name files that exist', () => {
      const isThere = (name) => tracked.some((file) => file === name || file.endsWith(`/${name}`));
      assert.ok(named(text).length > 50);
      assert.deepStrictEqual(named(text).filter((name) => !isThere(name)), []);
    });

    for (const walk of ['connection', 'reload']) {
      it(`walk one ${walk} through each file once`, () => {
        const [, steps] = text.match(new RegExp(`## The walk of one ${walk}\n([^]*?)\n## `));
        const files = named(steps);
        assert.ok(files.length > 15);
        assert.deepStrictEqual(files.filter((name, index) => files.indexOf(name) !== index), []);
      });
    }
  });

  it('are all reached from the README', () => {
    const reached = new Set(['README.md']);
    for (const file of reached) {
      for (const [, link] of read(file).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)) {
        const target = path.join(path.dirname(file), link);
        if (target.endsWith('.md') && fs.existsSync(path.join(ROOT, target))) reached.add(target);
      }
    }
    assert.deepStrictEqual(FILES.filter((file) => !reached.has(file)), []);
  });
});
