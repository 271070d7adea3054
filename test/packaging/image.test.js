'use strict';

// The container images of the examples. No test can rely on a program that builds images, so each
// step of a Dockerfile is executed in a folder that stands for the image: with the files of the
// build's context only, the package as npm installs it, another user, and the command as process 1.

const assert = require('node:assert');
const { execFileSync, spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { request } = require('../helpers/client');
const { canBecomeAnother, canContain, childrenOf } = require('../helpers/cluster');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { freePort } = require('../helpers/ports');
const { ROOT, pack } = require('../helpers/tarballs');
const { until, within } = require('../helpers/wait');

const EXAMPLES = path.join(ROOT, 'examples', 'container');
const NOBODY = '65534';
const AS_FIRST = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];
const AS_NOBODY = ['setpriv', '--reuid', NOBODY, '--regid', NOBODY, '--clear-groups'];
/** Makes the only directory that may be written to. The image of Node has a user `node`. */
const PIDS = 'install -d -o node -g node pids';

/** Returns the instructions of a Dockerfile as `[name, rest]`. */
function instructions(name) {
  const text = fs.readFileSync(path.join(EXAMPLES, name), 'utf8');
  const lines = text.replace(/^#.*\n/gm, '').replace(/\\\n/g, ' ').split('\n').filter(Boolean);
  return lines.map((line) => line.match(/^([A-Z]+) (.*)$/).slice(1));
}

/** What a Dockerfile makes, in a folder. */
class Image {
  root = emptyFolder();
  env = { PATH: process.env.PATH, npm_config_offline: 'true' };
  #directory = this.root;
  #context;
  health;
  command;
  user;

  constructor(context) {
    this.#context = context;
    this.env.npm_config_cache = path.join(this.root, 'npm');
  }

  step(name, rest) {
    const steps = {
      FROM: () => assert.match(rest, /^node:(20|22|24|26)-bookworm-slim$/),
      WORKDIR: () => {
        this.#directory = path.join(this.root, rest);
        fs.mkdirSync(this.#directory, { recursive: true });
      },
      ENV: () => {
        for (const pair of rest.split(' ')) this.env[pair.split('=')[0]] = pair.split('=')[1];
      },
      COPY: () => {
        const [to, ...names] = rest.split(' ').reverse();
        for (const from of names)
          fs.copyFileSync(path.join(this.#context, from), path.join(this.#directory, to, from));
      },
      RUN: () => {
        const line = rest === PIDS ? `install -d -o ${NOBODY} -g ${NOBODY} pids` : rest;
        this.#run('sh', ['-ec', line]);
      },
      USER: () => (this.user = rest),
      EXPOSE: () => assert.strictEqual(rest, '3000 3001'),
      HEALTHCHECK: () => (this.health = JSON.parse(rest.match(/CMD (.*)$/)[1])),
      CMD: () => (this.command = JSON.parse(rest)),
    };
    assert.ok(steps[name], `an instruction that this test does not know: ${name}`);
    steps[name]();
  }

  #run(program, args) {
    execFileSync(program, args, { cwd: this.#directory, env: this.env, stdio: 'pipe' });
  }

  /** Runs the command as process 1, and as another user. */
  start(env) {
    const [program, ...args] = [...AS_FIRST, ...AS_NOBODY, ...this.command];
    return spawn(program, args, {
      cwd: this.#directory, env: { ...this.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** Asks as Docker does; returns the exit code. */
  check(port) {
    const [program, ...args] = this.health.map((text) => text.replace(':3000/', `:${port}/`));
    return spawnSync(program, args, { cwd: this.#directory, env: this.env }).status;
  }
}

describe('the steps of a container image', function () {
  this.timeout(60_000);
  let tarball;
  before(function () {
    if (!canBecomeAnother() || !canContain()) {
      this.test.parent.title += ' (needs root, to become another user and process 1)';
      this.skip();
    }
    ({ tarball } = pack(ROOT, emptyFolder()));
  });
  after(removeFolders);

  /** The context of a build: the app, with a lock file. */
  function contextOf() {
    const context = emptyFolder();
    for (const name of fs.readdirSync(EXAMPLES))
      fs.copyFileSync(path.join(EXAMPLES, name), path.join(context, name));
    const app = { name: 'app', private: true, dependencies: { 'cluster2-rs': `file:${tarball}` } };
    fs.writeFileSync(path.join(context, 'package.json'), JSON.stringify(app));
    const lock = ['install', '--package-lock-only', '--offline', '--no-audit', '--no-fund'];
    execFileSync('npm', lock, { cwd: context, stdio: 'pipe' });
    return context;
  }

  for (const [name, variables] of [
    ['Dockerfile', ['PORT', 'MON_PORT']],
    ['Dockerfile.start', ['CLUSTER2_PORT', 'CLUSTER2_MON_PORT']],
  ]) {
    it(`by ${name} make one that serves, is healthy, and ends by SIGTERM`, async () => {
      const image = new Image(contextOf());
      for (const [instruction, rest] of instructions(name)) image.step(instruction, rest);
      assert.strictEqual(image.user, 'node');
      const files = () => fs.readdirSync(path.join(image.root, 'srv/app')).sort();
      const before = files();
      fs.chmodSync(image.root, 0o755);
      const [port, monPort] = [await freePort(), await freePort()];
      const ports = { [variables[0]]: String(port), [variables[1]]: String(monPort) };
      const container = image.start(ports);
      const ended = once(container, 'exit');
      let output = '';
      for (const stream of [container.stdout, container.stderr])
        stream.on('data', (text) => (output += text));
      try {
        await until('it is healthy', () => image.check(port) === 0).catch((error) => {
          throw new Error(`${error.message}\n${output}`);
        });
        assert.strictEqual((await request(port, '/')).status, 200);
        assert.strictEqual((await request(monPort, '/status.json')).status, 200);
        const [first] = childrenOf(container.pid);
        assert.match(fs.readFileSync(`/proc/${first}/status`, 'utf8'), /^NSpid:\t\d+\t1$/m);
        assert.match(fs.readFileSync(`/proc/${first}/status`, 'utf8'), /^Uid:\t65534\t/m);
        assert.deepStrictEqual(files(), before, 'only files in pids are written');
        process.kill(first, 'SIGTERM');
        assert.deepStrictEqual(await within('it ends', ended), [0, null], output);
      } finally {
        container.kill('SIGKILL');
        await ended;
      }
    });
  }
});
