'use strict';

// In a release, workers that start later run what V8 has compiled in an earlier one. What always
// holds: only code of the very text that a worker would load is taken, and only one worker writes
// it.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { ROOT, lay, removeFolders, write } = require('../helpers/installed');
const { HAS_TEXT_OUTSIDE, NODE } = require('../helpers/node');
const { freePort } = require('../helpers/ports');

const SERVER = `
  if (require('node:fs').existsSync('broken') && require('node:cluster').isWorker) process.exit(1);
  const { execFileSync } = require('node:child_process');
  const http = require('node:http');
  const Cluster = require('cluster2-rs');
  const { isCompiled } = require(process.env.LOADER);
  const inChild = () => execFileSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' });
  const server = http.createServer((_request, response) =>
    response.end(JSON.stringify({ pid: process.pid, isCompiled, inChild: inChild() })));
  const cluster = new Cluster({ port: Number(process.env.PORT), noWorkers: 2, monPort: 0, pids: 'pids' });
  cluster.listen((callback) => callback(server));
  require(process.env.EVENTS)(cluster);
`;

/** The open files of a process that have compiled code, or wait for it. */
function codeFilesOf(pid) {
  const folder = `/proc/${pid}/fd`;
  const files = fs.readdirSync(folder).map((name) => path.join(folder, name));
  return files.filter((file) => {
    try {
      return fs.readlinkSync(file).startsWith('/memfd:cluster2-code');
    } catch {
      // It was closed meanwhile.
      return false;
    }
  });
}

describe('compiled code of a release', function () {
  this.timeout(30_000);
  let script;
  let bundle;

  before(function () {
    if (!HAS_TEXT_OUTSIDE) this.skip();
  });

  beforeEach(async () => {
    const { folder, main } = lay('hoisted');
    bundle = path.join(main, 'lib', 'cluster2-rs.js');
    write({ [path.join(folder, 'server.js')]: SERVER });
    const env = {
      ...process.env,
      EVENTS: path.join(ROOT, 'test', 'fixtures', 'events.js'),
      LOADER: path.join(main, 'lib', 'load.js'),
    };
    const settings = { cwd: folder, env, port: await freePort() };
    script = await new Script(path.join(folder, 'server.js'), settings).ready();
    await allHaveSettled();
  });

  afterEach(removeFolders);

  const ask = async () => JSON.parse((await request(script.port, '/')).body);

  /** All have served for a moment: one has written, and none waits for it any more. */
  const allHaveSettled = () =>
    script.until('the code is written', async () => {
      await ask();
      return script.workers().every((pid) => codeFilesOf(pid).length === 0);
    });

  /** Kills a worker. Returns the answer of the one that is started in its place. */
  async function answerOfNext() {
    const old = script.workers();
    process.kill(old[0], 'SIGKILL');
    let answer;
    await script.until('the next worker serves', async () => {
      answer = await ask();
      return !old.includes(answer.pid);
    });
    return answer;
  }

  it('is run by a worker that starts later, and no child of that inherits it', async () => {
    const { isCompiled, inChild, pid } = await answerOfNext();
    assert.strictEqual(isCompiled, true);
    assert.deepStrictEqual(codeFilesOf(pid), []);
    assert.doesNotMatch(inChild, /cluster2-code/);
  });

  it('is not run any more once a worker has ended before it was ready', async () => {
    const broken = path.join(script.cwd, 'broken');
    fs.writeFileSync(broken, '');
    process.kill(script.workers()[0], 'SIGKILL');
    await script.until('the next one has ended too', () => script.emitted('died').length >= 2);
    fs.rmSync(broken);
    await script.ready(3);
    const all = new Map();
    await script.until('both workers answer', async () => {
      const { pid, isCompiled } = await ask();
      return all.set(pid, isCompiled).size === 2;
    });
    assert.deepStrictEqual([...all.values()], [false, false]);
  });

  it('is nothing to a process that only has the environment of a worker', () => {
    const preload = path.join(path.dirname(bundle), 'preload.js');
    const code = "require('node:fs').fstatSync(9)";
    const stdio = Array(10).fill('pipe');
    const env = { ...process.env, CLUSTER2_WORKER: '{}' };
    const { status, stderr } = spawnSync(NODE, ['--require', preload, '-e', code], { env, stdio });
    assert.strictEqual(status, 0, String(stderr));
  });

  it('of another text is not run, and a reload keeps that of the new text', async () => {
    // As long as before: the length is all that V8 compares.
    const text = fs.readFileSync(bundle, 'utf8');
    fs.writeFileSync(bundle, text.replace('\n// lib/', '\n// LIB/'));
    assert.strictEqual((await answerOfNext()).isCompiled, false);
    const old = script.workers();
    script.kill('SIGHUP');
    await script.until('the old workers are gone', () =>
      script.workers().every((pid) => !old.includes(pid)));
    await allHaveSettled();
    assert.strictEqual((await answerOfNext()).isCompiled, true);
  });
});
