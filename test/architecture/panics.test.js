'use strict';

// No panic in Rust is silent: threads and tasks are guarded, and nothing panics on purpose.

const assert = require('node:assert');
const path = require('node:path');
const { readRust, withoutTests } = require('../helpers/rust');
const { ROOT, filesIn } = require('../helpers/sources');

const rust = ['src', 'addons'].flatMap((folder) =>
  filesIn(path.join(ROOT, folder), '.rs').map(readRust));

/** The names of sources that match `pattern` in a line outside of tests. */
const having = (pattern) =>
  rust
    .filter((source) => withoutTests(source).some((line) => pattern.test(line)))
    .map(({ name }) => name)
    .sort();

describe('Rust sources', () => {
  it('each thread is guarded: one that panics ends the process', () => {
    const bare = /\bthread::(Builder|spawn)\b/;
    // A command asks another process in this thread, and ends with the answer.
    assert.deepStrictEqual(having(bare), ['src/bin/cluster2/commands.rs']);
    const thread = rust.find(({ name }) => name === 'src/os/thread.rs');
    assert.match(thread.code.join('\n'), /Builder::new\(\)[^;]*\{\s*let _guard = Guard\(name\);/);
  });

  it('each task is guarded, except where its callers notice its end', () => {
    const bare = /\btokio::(task::)?spawn\b/;
    assert.deepStrictEqual(having(bare), [
      'src/bin/cluster2/merged_logs.rs', // the command ends with its tasks
      'src/monitor/user_app.rs', // one request on one connection
      'src/os/thread.rs',
      'src/single_flight.rs', // all callers learn that there is no result
    ]);
    const thread = rust.find(({ name }) => name === 'src/os/thread.rs');
    assert.match(thread.code.join('\n'), /tokio::spawn\(async move \{\s*let _guard = Guard\(name\);/);
  });

  it('nothing panics on purpose, except in tests', () => {
    const panics = /\b(panic|todo|unimplemented|unreachable)!\(/;
    assert.deepStrictEqual(having(panics), []);
  });
});
