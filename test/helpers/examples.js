'use strict';

// Runs copies of the examples, each in its own directory and on its own ports, with the modules
// that they require.

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const Cluster = require('../..');
const { QUICK, Script } = require('./cluster');
const { freePort } = require('./ports');

const PROJECT = path.join(__dirname, '..', '..');
const MODULES = path.join(PROJECT, 'node_modules');
/** The examples of the manual are for Express 2. */
const MANUAL = { express: 'express2' };
/** Longer than three processes at once take to load a big framework. */
const STARTED_WITHIN = 30_000;

let home;

function link(directory, name, target) {
  fs.mkdirSync(directory, { recursive: true });
  fs.rmSync(path.join(directory, name), { force: true });
  fs.symlinkSync(target, path.join(directory, name));
}

/**
 * Makes the directory for the directories of all examples, with the modules that they find there.
 * Returns its path.
 */
function setUp() {
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-examples-'));
  for (const name of fs.readdirSync(MODULES))
    link(path.join(home, 'node_modules'), name, path.join(MODULES, name));
  link(path.join(home, 'node_modules'), 'cluster2-rs', PROJECT);
  return home;
}

const tearDown = () => fs.rmSync(home, { recursive: true, force: true });

/** Copies an example unchanged to a new directory. */
function copyOf(name) {
  const directory = fs.mkdtempSync(path.join(home, 'example-'));
  const file = path.join(directory, path.basename(name));
  fs.copyFileSync(path.join(PROJECT, 'examples', name), file);
  return { file, directory };
}

/**
 * Builds an example in TypeScript, as tsc does with these settings. Compiled at its start, each of
 * its processes would take more than a second. Returns the path of the script to run.
 */
function build(file, settings) {
  // Loading it takes half a second, which only these examples need.
  const { convertCompilerOptionsFromJson, transpileModule } = require('typescript');
  const { compilerOptions } = JSON.parse(fs.readFileSync(settings, 'utf8'));
  const { options } = convertCompilerOptionsFromJson(compilerOptions, path.dirname(settings));
  const text = fs.readFileSync(file, 'utf8');
  const { outputText } = transpileModule(text, { compilerOptions: options, fileName: file });
  const built = file.replace(/ts$/, 'js');
  fs.writeFileSync(built, outputText);
  return built;
}

/** A running example. `run` starts another one in the same directory, as from another terminal. */
class Example {
  /**
   * @param {string} name a file in `examples`; one in TypeScript is built, as `tsconfig.json`
   *   beside it says
   * @param {{ modules?: object, files?: object, execArgv?: string[], noWorkers?: number,
   *   minReadyTime?: number, directory?: string }} [settings]
   *   `modules`: the module that it finds under the name of another one
   *   `files`: the files in its directory, by name
   *   `noWorkers`, `minReadyTime`: instead of its own options
   *   `directory`: where it runs, instead of a new one
   */
  static async start(name, settings = {}) {
    const { modules = MANUAL, files = {}, execArgv, directory } = settings;
    const { noWorkers, minReadyTime = QUICK } = settings;
    const example = new Example();
    example.directory = directory ?? fs.mkdtempSync(path.join(home, 'example-'));
    example.port = await freePort();
    example.monPort = await freePort();
    for (const [as, module] of Object.entries(modules)) {
      link(path.join(example.directory, 'node_modules'), as, path.join(MODULES, module));
    }
    for (const [file, text] of Object.entries(files))
      fs.writeFileSync(path.join(example.directory, file), text);
    const { port, monPort } = example;
    const options = { port, monPort, noWorkers, minReadyTime };
    example.script = example.run(name, { options, execArgv });
    const workers = noWorkers ?? os.availableParallelism();
    // A master with workers answers; before that it may not.
    const isReady = () => example.isReady(workers);
    await example.script.until(`${workers} workers are ready`, isReady, STARTED_WITHIN);
    return example;
  }

  run(name, { options = {}, execArgv } = {}) {
    const source = path.join(PROJECT, 'examples', name);
    const copy = path.join(this.directory, path.basename(name));
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    const text = fs.readFileSync(source, 'utf8');
    fs.writeFileSync(
      copy,
      text.replace('port: 3000', given.map(([option, value]) => `${option}: ${value}`).join(', ')),
    );
    const settings = path.join(path.dirname(source), 'tsconfig.json');
    const file = name.endsWith('.ts') ? build(copy, settings) : copy;
    return new Script(file, { cwd: this.directory, execArgv });
  }

  get #cluster() {
    return new Cluster({ pids: this.script.pids });
  }

  status() {
    return this.script.status();
  }

  /** Returns whether exactly `count` workers exist, and all are ready. */
  async isReady(count) {
    if (this.script.workers().length < count) return false;
    const { workers } = await this.status();
    return workers.length === count && workers.every(({ state }) => state === 'ready');
  }

  /** Replaces both workers. */
  async reload() {
    assert.deepStrictEqual(await this.#cluster.reload(), { replaced: 2 });
    await this.script.until('the old workers are gone', () => this.isReady(2));
  }

  /**
   * Waits until each worker has had a connection or a request. A moved connection counts only for
   * its first worker.
   */
  async bothServe() {
    const hasServed = ({ connections, requests }) => connections.total + requests.total > 0;
    const served = async () => (await this.status()).workers.every(hasServed);
    await this.script.until('both workers have served', served);
  }

  /** Reloads twice while `clients` send requests, and checks that all of them are answered. */
  async reloadsUnder(clients) {
    for (let i = 0; i < 2; i++) {
      await this.bothServe();
      await this.reload();
    }
    await this.bothServe();
    await clients.stop();
    assert.deepStrictEqual(clients.troubles, []);
    assert.ok(clients.all.every(({ answered }) => answered > 0), 'each client was answered');
  }

  /** Checks that it exits with code 0 on SIGTERM, prints no error, and leaves nothing behind. */
  async endsWell() {
    this.script.kill('SIGTERM');
    assert.deepStrictEqual(await this.script.ended(), { code: 0, signal: null });
    assert.strictEqual(this.script.errors, '');
    assert.deepStrictEqual(this.leftovers(), []);
  }

  /** The files in the `pids` directory. */
  leftovers() {
    return fs.readdirSync(this.script.pids);
  }
}

module.exports = { Example, copyOf, setUp, tearDown };
