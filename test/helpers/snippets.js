'use strict';

// The code blocks of README.md and docs/, each with the kind of its test. A comment before a block
// names the kind, `<!-- snippet: class -->` or `<!-- not run: reason -->`, unless the block shows
// it.

const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..');
/** The README is first: its first program is the one that commands are run against. */
const FILES = [
  'README.md',
  ...fs
    .readdirSync(path.join(ROOT, 'docs'), { recursive: true })
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => `docs/${name}`),
];
const BLOCK = /(?:^<!-- (snippet|not run): (.+) -->\n\n)?^```(\w*)\n([^]*?)^```$/gm;

const ENDS =
  "cluster.listen((callback) => callback(require('http').createServer((q, r) => r.end('hello'))));";
const BEGINS = "const Cluster = require('cluster2-rs'), http = require('http');";
const CLUSTER = `${BEGINS} const cluster = new Cluster({ port: 3000 }), c = cluster;`;
/** The code before and after a fragment that makes it a program. */
const FRAGMENTS = {
  server: [BEGINS, 'new Cluster({ port: 3000 }).listen((callback) => callback(server));'],
  events: [CLUSTER, ENDS],
  options: [`${BEGINS} process.env.ECV_TOKEN = 'secret'; const cluster =`, ENDS],
  'monitor app': [
    `${CLUSTER} const app = (q, r) => r.end('hello'), queue = { lengths: () => [] };`,
    '',
  ],
};

/** Returns the kind of a block without a comment, or `undefined`. */
function classOf(language, text) {
  if (language === 'sh' || language === 'json') return language;
  if (language !== 'js') return undefined;
  if (!/\.listen\(/.test(text)) return /require\('cluster2-rs'\)/.test(text) ? 'beside' : undefined;
  return /require\('cluster2-rs'\)/.test(text) ? 'program' : 'plain';
}

/**
 * Returns all blocks, as `{ where, language, text, kind, reason }`. `kind` is undefined if it is
 * unknown.
 */
function blocks() {
  return FILES.flatMap((file) => {
    const source = fs.readFileSync(path.join(ROOT, file), 'utf8');
    return [...source.matchAll(BLOCK)].map((match) => {
      const [all, said, what, language, text] = match;
      const line = source.slice(0, match.index + all.indexOf('```')).split('\n').length;
      const block = { where: `${file}:${line}`, language, text };
      if (said === 'not run') return { ...block, kind: 'not run', reason: what };
      if (!FRAGMENTS[what]) return { ...block, kind: what ?? classOf(language, text) };
      const [before, after] = FRAGMENTS[what];
      return { ...block, kind: 'program', text: `${before}\n${text}\n${after}` };
    });
  });
}

/** Returns the commands of a shell block, without comments. A backslash continues a line. */
function commands({ language, text }) {
  const all = text.replace(/ \\\n\s*/g, ' ').split('\n');
  const asked = all.filter((line) => line.startsWith('$ ')).map((line) => line.slice(2));
  const lines = language === 'console' ? asked : all;
  return lines
    .map((line) => line.replace(/(^|\s+)# .*/, '').trim())
    .filter(Boolean)
    .flatMap((line) => line.split(' && '));
}

module.exports = { FILES, ROOT, blocks, commands };
