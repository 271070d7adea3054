'use strict';

// The reference and the types say what the code does: names of options, methods, events, error
// codes, commands and metrics, and the defaults.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const Cluster = require('../..');
const { normalize } = require('../../lib/options');
const { cluster2 } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');

const ROOT = path.join(__dirname, '..', '..');
const read = (...names) => fs.readFileSync(path.join(ROOT, ...names), 'utf8');
/** The text of one page of the reference. */
const page = (name) => read('docs', 'reference', `${name}.md`);
const PAGES = fs
  .readdirSync(path.join(ROOT, 'docs', 'reference'))
  .map((name) => path.parse(name).name);
const TYPES = read('index.d.ts');
const LIB = fs
  .readdirSync(path.join(ROOT, 'lib'), { recursive: true })
  .filter((name) => name.endsWith('.js'));
const JAVASCRIPT = [read('index.js'), ...LIB.map((name) => read('lib', name))].join('\n');
/** The files that implement `listen()`, one for each kind of process. */
const ROLES = LIB.filter((name) => /^(\w+)\/\1\.js$/.test(name));

const matches = (text, pattern) => [...text.matchAll(pattern)].map((match) => match[1]);
const sorted = (names) => [...new Set(names)].sort();
const codes = (text) => sorted(matches(text, /\b(CLUSTER2_ERR_[A-Z]+(?:_[A-Z]+)*)\b/g));

function assertSame(found, expected, what) {
  assert.ok(expected.length > 0, `${what}: nothing to compare with`);
  assert.deepStrictEqual(sorted(found), sorted(expected), what);
}

/** The rows of the page's table whose head begins with these cells, as lists of cells. */
function table(name, ...head) {
  const lines = page(name).split('\n');
  const at = lines.findIndex((line) => line.startsWith(`| ${head.join(' | ')} |`));
  assert.ok(at >= 0, `${name}.md has a table '${head.join(' | ')}'`);
  const rows = lines.slice(at + 2);
  const end = rows.findIndex((line) => !line.startsWith('|'));
  return rows
    .slice(0, end)
    .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '').trim()));
}

/** The names in backticks in the first cell of each row. */
const names = (rows) => rows.flatMap(([first]) => matches(first, /`([\w.]+)/g));

/** The members of one interface of `index.d.ts`. */
function members(name) {
  const [, body] = TYPES.match(new RegExp(`interface ${name} \\{([^]*?)\\n {2}\\}`)) ?? [];
  assert.ok(body, `index.d.ts has an interface ${name}`);
  return matches(body, /^ {4}(?:readonly )?(\w+)\??:/gm);
}

/** The options that `src/config/` reads. */
function options() {
  const [main, ecv] = read('src', 'config', 'options.rs').split(/^fn ecv\b/m);
  const overload = read('src', 'config', 'overload.rs');
  const asked = /\bread\s*\.\s*\w+\(\s*"(\w+)"/g;
  const nested = matches(ecv, asked).filter((name) => name !== 'ecv');
  const top = [...matches(main, asked), 'ecv', 'overload'];
  return { top, ecv: nested, overload: matches(overload, asked) };
}

/** The events that `lib/` emits on the user's cluster. */
function events() {
  const signals = matches(ROLES.map((name) => read('lib', name)).join('\n'), /\b(SIG[A-Z]+)\b/g);
  return sorted([...matches(JAVASCRIPT, /\bcluster\.emit\('(\w+)'/gi), ...signals]);
}

describe('the reference', () => {
  it('lists every option, and no other', () => {
    const { top, ...parents } = options();
    const nested = Object.entries(parents).flatMap(([parent, all]) =>
      all.map((name) => `${parent}.${name}`));
    assertSame(
      names(table('options', 'option', 'default')),
      [...top, ...nested],
      'options table',
    );
  });

  it('shows the defaults that the code has', () => {
    const { ports, ...config } = normalize({});
    const defaults = { ...config, port: ports.length === 1 ? ports[0] : ports };
    const wrong = [];
    let compared = 0;
    for (const [name, shown] of table('options', 'option', 'default')) {
      const key = name.replaceAll('`', '');
      // A feature that is off has no options of its own.
      const inside = (value, part) => (value === null ? null : value[part]);
      const actual = key.split('.').reduce(inside, defaults);
      const [, literal] = shown.match(/^`(.*)`$/) ?? [];
      if (literal) {
        compared += 1;
        if (JSON.stringify(JSON.parse(literal.replaceAll("'", '"'))) !== JSON.stringify(actual))
          wrong.push(`${key}: ${actual}`);
      } else if (shown === 'none' && actual !== null && actual !== false)
        wrong.push(`${key}: ${actual}`);
    }
    assert.deepStrictEqual(wrong, []);
    assert.ok(compared > 10, `only ${compared} literal defaults were found`);
  });

  it('lists every error code, and no other', () => {
    const known = codes(read('src', 'error', 'code.rs') + JAVASCRIPT);
    assertSame(names(table('errors', 'code', 'meaning')), known, 'errors table');
    assert.deepStrictEqual(codes(PAGES.map(page).join('\n')), known, 'codes in the text');
  });

  it('lists every event, and no other', () => {
    assertSame(names(table('events', 'event', 'in')), events(), 'events table');
  });

  it('lists every reason of `died`, and no other', () => {
    const words = matches(read('src', 'supervision', 'worker.rs'), /Self::\w+ => "([a-z-]+)"/g);
    const shown = table('events', 'reason', 'why').flatMap(([first]) =>
      matches(first, /`([a-z-]+)`/g),
    );
    assertSame(shown, words, 'reasons table');
    const [, typed] = TYPES.match(/\n {4}reason: (.*'crash'.*);\n/) ?? [];
    assertSame(matches(typed ?? '', /'([a-z-]+)'/g), words, 'reasons in index.d.ts');
  });

  it('lists every command of the command line and every exit code, and no other', () => {
    const { stdout } = cluster2(ROOT, '--help');
    const [, commands, codes] = stdout.match(/\n\n(Run [^]*?)\n\n[^]*^Exit codes: (.*)$/m);
    const real = matches(commands, /^[A-Za-z ]{7}(\S+)/gm).filter((name) => name !== 'help');
    const shown = table('command-line', 'command', 'what');
    assertSame(shown.flatMap(([first]) => matches(first, /`([a-z-]+)/g)), real, 'commands');
    const exits = table('command-line', 'exit code', 'when').map(([code]) => code);
    assertSame(exits, matches(codes, /(\d+) /g), 'exit codes');
  });

  it('names only flags that a command has', () => {
    const wrong = table('command-line', 'command', 'what').flatMap(([first, what]) => {
      const [name] = matches(first, /`([a-z-]+)/g);
      const { stdout } = cluster2(ROOT, name, '--help');
      return matches(what, /(--[a-z-]+)/g).filter((flag) => !stdout.includes(flag));
    });
    assert.deepStrictEqual(wrong, []);
  });

  it('lists every metric with its type, and no other', async () => {
    const monPort = await freePort();
    const script = await new Script('http.js', {
      port: await freePort(),
      options: { monPort },
    }).ready();
    const real = matches((await request(monPort, '/metrics')).body, /^# TYPE (\w+ \w+)$/gm);
    script.kill();
    await script.ended();
    const shown = table('metrics', 'metric', 'type').map(([name, type]) => `${name} ${type}`);
    assertSame(shown.map((row) => row.replaceAll('`', '')), real, 'metrics');
  });

  it('names every public method', () => {
    for (const method of Object.getOwnPropertyNames(Cluster.prototype)) {
      if (method === 'constructor') continue;
      assert.match(page('methods'), new RegExp(`\`${method}\\(`), `methods.md: ${method}`);
      assert.match(TYPES, new RegExp(`^  ${method}\\(`, 'm'), `index.d.ts: ${method}`);
    }
  });
});

describe('index.d.ts', () => {
  it('has every option and every event, and no other', () => {
    const { top, ecv, overload } = options();
    assertSame(members('Options'), top, 'Options');
    assertSame(members('EcvOptions'), ecv, 'EcvOptions');
    assertSame(members('OverloadOptions'), overload, 'OverloadOptions');
    assertSame(members('Events'), events(), 'Events');
  });

  it('has every error code, and no other', () => {
    const known = codes(read('src', 'error', 'code.rs') + JAVASCRIPT);
    const [, union] = TYPES.match(/type ErrorCode =([^;]*);/) ?? [];
    assertSame(matches(union ?? '', /'(\w+)'/g), known, 'ErrorCode');
    assertSame(codes(TYPES), known, 'codes in the text');
  });

  it('shows the defaults that the code has', () => {
    const { ports, ecv, ...config } = normalize({});
    compareDefaults('Options', { ...config, port: ports[0] });
    compareDefaults('EcvOptions', ecv);
  });

  /** Compares each `@default` that is a literal. The others are prose. */
  function compareDefaults(name, defaults) {
    const [, body] = TYPES.match(new RegExp(`interface ${name} \\{([^]*?)\\n {2}\\}`)) ?? [];
    const shown = [...body.matchAll(/@default (.*)\n\s*\*\/\n\s*(\w+)\?:/g)];
    assertSame(shown.map(([, , option]) => option), members(name), `${name}: each has a default`);
    const literals = shown.filter(([, text]) => /^('.*'|\d+|true|false|\{\})$/.test(text));
    for (const [, text, option] of literals) {
      assert.deepStrictEqual(
        JSON.parse(text.replaceAll("'", '"')),
        defaults[option],
        `${name}.${option}`,
      );
    }
    assert.ok(literals.length >= 3, `${name}: only ${literals.length} literal defaults`);
  }
});
