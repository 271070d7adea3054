'use strict';

// Programs of others that tests use: where they are, and how they run as processes of a test.

const assert = require('node:assert');
const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { within } = require('./wait');

/** The directories of programs in Debian. Not every user has all of them in PATH. */
const PLACES = [...(process.env.PATH ?? '').split(':'), '/usr/bin', '/usr/sbin'];
/** Longer than any of these programs needs to end on SIGTERM. */
const LAST_WORDS = 10_000;

const running = new Set();

const find = (name) =>
  PLACES.map((place) => path.join(place, name)).find((file) => fs.existsSync(file));

/**
 * Returns the paths of these programs, in a `before` hook whose `this` is `context`. If one is
 * missing, the tests of the suite are skipped with the reason. In CI, which installs all of them,
 * they fail.
 */
function need(context, ...names) {
  const missing = names.filter((name) => !find(name));
  if (missing.length === 0) return names.map(find);
  const message = `${missing.join(', ')} is not installed`;
  if (process.env.CI) assert.fail(message);
  for (const test of context.test.parent.tests) test.title += ` (${message})`;
  return context.skip();
}

/**
 * A program that runs until the test ends it, in its own directory. `{directory}` in its arguments
 * is replaced by the path.
 */
class Tool {
  output = '';
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-tool-'));
  #child;
  #ended;

  /**
   * @param {string} program
   * @param {string[]} args
   * @param {Object<string, string>} files the files in the directory at the start: names and
   *   contents
   */
  constructor(program, args, files = {}) {
    const here = (text) => text.replaceAll('{directory}', this.directory);
    for (const [name, text] of Object.entries(files))
      fs.writeFileSync(path.join(this.directory, name), here(text));
    this.#child = spawn(program, args.map(here), {
      cwd: this.directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const hear = (text) => (this.output += text);
    this.#child.stdout.on('data', hear);
    this.#child.stderr.on('data', hear);
    this.#ended = new Promise((resolve) => {
      this.#child
        .on('error', (error) => resolve({ error }))
        .on('close', (code, signal) => resolve({ code, signal }));
    });
    running.add(this);
  }

  /** Ends the program, and waits for its end. */
  async stop() {
    this.#child.kill('SIGTERM');
    try {
      await within('the tool ends', this.#ended, LAST_WORDS);
    } finally {
      this.#child.kill('SIGKILL');
      await this.#ended;
      fs.rmSync(this.directory, { recursive: true, force: true });
      running.delete(this);
    }
  }
}

/**
 * Runs a program with `input` until it ends, and returns its output. Throws with the output if it
 * fails.
 */
function run(program, args, input = '') {
  return execFileSync(program, args, {
    input,
    encoding: 'utf8',
    timeout: LAST_WORDS,
    stdio: 'pipe',
  });
}

/** Ends all programs that a failed test left running. */
async function stopAll() {
  for (const tool of [...running]) await tool.stop();
}

module.exports = { Tool, find, need, run, stopAll };
