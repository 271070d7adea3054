'use strict';

// No panic in Rust goes unheard: threads and tasks are guarded, and nothing panics on purpose.

const assert = require('node:assert');
const path = require('node:path');
const { readRust, withoutTests } = require('../helpers/rust');
const { ROOT, filesIn } = require('../helpers/sources');

const rust = ['src', 'addons'].flatMap((folder) =>
  filesIn(path.join(ROOT, folder), '.rs').map(readRust));

/** The names of sources with such a line outside of tests. */
const having = (pattern) =>
  rust
    .filter((source) => withoutTests(source).some((line) => pattern.test(line)))
    .map(({ name }) => name)
    .sort();

describe('Rust sources', () => {
  it('each thread is guarded: one that panics ends the process', () => {
    const bare = /\bthread::(Builder|spawn)\b/;
    // Of a command that asks another process, and ends with the answer.
    assert.deepStrictEqual(having(bare), ['src/bin/cluster2/commands.rs']);
    const thread = rust.find(({ name }) => name === 'src/os/thread.rs');
    assert.match(thread.code.join('\n'), /Builder::new\(\)[^;]*\{\s*let _guard = Guard\(name\);/);
  });

  it('each task is guarded, unless those who wait for it notice its end', () => {
    const bare = /\btokio::(task::)?spawn\b/;
    assert.deepStrictEqual(having(bare), [
      'src/bin/cluster2/merged_logs.rs', // of a command that ends with them
      'src/monitor/user_app.rs', // the connection of one request
      'src/os/thread.rs',
      'src/single_flight.rs', // all who asked learn that there is no result
    ]);
    const thread = rust.find(({ name }) => name === 'src/os/thread.rs');
    assert.match(thread.code.join('\n'), /tokio::spawn\(async move \{\s*let _guard = Guard\(name\);/);
  });

  it('nothing panics on purpose, except in tests', () => {
    const panics = /\b(panic|todo|unimplemented|unreachable)!\(/;
    assert.deepStrictEqual(having(panics), []);
  });
});
