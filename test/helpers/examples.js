'use strict';

// Runs copies of the examples: in a directory of their own, on ports of their own, with the modules that they require.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const Cluster = require('../..');
const { Script, freePort } = require('./cluster');

const PROJECT = path.join(__dirname, '..', '..');
const MODULES = { 'cluster2-rs': PROJECT, express: path.join(PROJECT, 'node_modules', 'express2') };

let home;

/** Makes the directory that holds the directories of all examples, and the modules that they find there. */
function setUp() {
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-examples-'));
  fs.mkdirSync(path.join(home, 'node_modules'));
  for (const [name, target] of Object.entries(MODULES)) fs.symlinkSync(target, path.join(home, 'node_modules', name));
}

const tearDown = () => fs.rmSync(home, { recursive: true, force: true });

/** A copy of an example as it is, in a directory of its own. */
function copyOf(name) {
  const directory = fs.mkdtempSync(path.join(home, 'example-'));
  const file = path.join(directory, path.basename(name));
  fs.copyFileSync(path.join(PROJECT, 'examples', name), file);
  return { file, directory };
}

/** A running example; `run` starts another one in the same directory, as a person in another terminal would. */
class Example {
  static async start(name) {
    const example = new Example();
    example.directory = fs.mkdtempSync(path.join(home, 'example-'));
    example.port = await freePort();
    example.monPort = await freePort();
    example.script = example.run(name);
    const workers = os.availableParallelism();
    // Who has a worker can be asked; before that, nobody may answer yet.
    await example.script.until(`${workers} workers are ready`, () => example.isReady(workers));
    return example;
  }

  run(name) {
    const copy = path.join(this.directory, path.basename(name));
    const text = fs.readFileSync(path.join(PROJECT, 'examples', name), 'utf8');
    fs.writeFileSync(copy, text.replace('port: 3000', `port: ${this.port}, monPort: ${this.monPort}`));
    return new Script(copy, { cwd: this.directory });
  }

  /** Whether so many workers are ready. */
  async isReady(count) {
    if (this.script.workers().length !== count) return false;
    const { workers } = await new Cluster({ pids: this.script.pids }).status();
    return workers.filter(({ state }) => state === 'ready').length === count;
  }

  /** What is left in the `pids` directory. */
  leftovers() {
    return fs.readdirSync(this.script.pids);
  }
}

module.exports = { Example, copyOf, setUp, tearDown };
