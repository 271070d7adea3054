'use strict';

// A release has all JavaScript in one file, which must be equivalent to the files of the clone and
// be loaded once.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { bundle } = require('../../scripts/bundle');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { PLATFORM, ROOT, emptyFolder, lay, removeFolders, write } = require('../helpers/installed');
const { HAS_TEXT_OUTSIDE, NODE } = require('../helpers/node');
const { freePort } = require('../helpers/ports');
const { assertServes } = require('../helpers/tarballs');

/** Answers with our files that this worker has loaded. */
const SERVER = `
  const http = require('node:http');
  const Cluster = require('cluster2-rs');
  const ours = () => Object.keys(require.cache).filter((file) => file.includes('cluster2-rs'));
  const server = http.createServer((_request, response) => response.end(JSON.stringify(ours())));
  const cluster = new Cluster({ port: Number(process.env.PORT), noWorkers: 2, monPort: 0, pids: 'pids' });
  cluster.listen((callback) => callback(server));
  require(process.env.EVENTS)(cluster);
`;

const filesBelow = (folder) =>
  fs.readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.js'));

describe('the JavaScript of a release', () => {
  afterEach(removeFolders);

  it('contains all files of lib/, and nothing else', () => {
    const folder = emptyFolder();
    bundle(folder);
    const modulesOf = (name) => {
      const text = fs.readFileSync(path.join(folder, 'lib', name), 'utf8');
      return [...text.matchAll(/^\/\/ (\S+\.js)$/gm)].map(([, module]) => module);
    };
    const all = filesBelow(path.join(ROOT, 'lib')).map((name) => `lib/${name}`);
    const isFallback = (name) => name.startsWith('lib/fallback/');
    const apart = (name) => isFallback(name) || name === 'lib/find-addon.js';
    const needed = ['index.js', ...all.filter((name) => !apart(name))];
    assert.deepStrictEqual(modulesOf('cluster2-rs.js').sort(), needed.sort());
    assert.deepStrictEqual(
      modulesOf('fallback/addon.js').filter(isFallback).sort(),
      all.filter(isFallback).sort(),
    );
    const loading = ['lib/find-addon.js', 'lib/load.js', 'lib/preload.js'];
    const files = ['index.js', 'lib/cluster2-rs.js', 'lib/fallback/addon.js', ...loading];
    assert.deepStrictEqual(filesBelow(folder).sort(), files.sort());
  });

  it('serves and reloads', () => assertServes({ folder: lay('hoisted').folder, env: process.env }));

  it('serves without the addon, and its errors are of the exported class', () => {
    const { folder } = lay('hoisted');
    fs.rmSync(path.join(folder, 'node_modules', `cluster2-rs-${PLATFORM}`), { recursive: true });
    const code = `
      const Cluster = require('cluster2-rs');
      const cluster = new Cluster({ port: 0, cluster: false, monPort: false, ecv: false });
      const told = (error) => console.log(error instanceof Cluster.ClusterError, error.code);
      cluster.listen((callback) => callback((request, response) => response.end()), async () => {
        await cluster.enable().catch(told);
        await cluster.shutdown({ wait: true });
        console.log((await cluster.status()).running);
      });`;
    const settings = { cwd: folder, encoding: 'utf8' };
    const { stdout, stderr } = spawnSync(NODE, ['-e', code], settings);
    assert.strictEqual(stdout, 'true CLUSTER2_ERR_WRONG_STATE\nfalse\n', stderr);
  });

  it('is loaded by a worker as one file, once', async () => {
    const { folder, main } = lay('hoisted');
    write({ [path.join(folder, 'server.js')]: SERVER });
    const env = { ...process.env, EVENTS: path.join(ROOT, 'test', 'fixtures', 'events.js') };
    const script = await new Script(path.join(folder, 'server.js'), {
      cwd: folder,
      env,
      port: await freePort(),
    }).ready();
    const loaded = JSON.parse((await request(script.port, '/')).body).map((file) =>
      path.relative(main, file),
    );
    assert.deepStrictEqual(loaded.filter((file) => file.endsWith('.js')).sort(), [
      'index.js',
      ...(HAS_TEXT_OUTSIDE ? [] : ['lib/cluster2-rs.js']),
      'lib/find-addon.js',
      'lib/load.js',
      'lib/preload.js',
    ]);
    script.kill('SIGTERM');
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('keeps its text outside of V8’s heap where Node can, and it stays when the file is changed', () => {
    const { folder, main } = lay('hoisted');
    const file = path.join(main, 'lib', 'cluster2-rs.js');
    const code = `
      const isLarge = ({ space_name: name }) => name.includes('large_object');
      const spaces = () => require('node:v8').getHeapSpaceStatistics().filter(isLarge);
      const used = () => spaces().reduce((sum, space) => sum + space.space_used_size, 0);
      const before = used();
      const Cluster = require('cluster2-rs');
      const text = used() - before;
      // In place: a mapped file would change too. V8 compiles most functions when they are called.
      require('node:fs').writeFileSync(process.argv[1], 'x'.repeat(300_000));
      const cluster = new Cluster({ cluster: false, monPort: false, port: 0 });
      cluster.listen((callback) => callback((request, response) => response.end()), async () => {
        await cluster.shutdown({ wait: true });
        console.log(text);
      });`;
    const settings = { cwd: folder, encoding: 'utf8' };
    const { status, stdout, stderr } = spawnSync(NODE, ['-e', code, file], settings);
    assert.deepStrictEqual([status, stderr], [0, '']);
    assert.match(stdout, /^-?\d+\n$/);
    assert.strictEqual(Number(stdout) > 100_000, !HAS_TEXT_OUTSIDE, stdout);
  });

  it('is loaded by the `require` of a test runner that runs modules in a context of its own', () => {
    const { folder, main } = lay('hoisted');
    const code = `
      const fs = require('node:fs');
      const path = require('node:path');
      const vm = require('node:vm');
      const [, main] = process.argv;
      const file = path.join(main, 'lib', 'load.js');
      const own = require('node:module').createRequire(file);
      const asked = [];
      const runner = (name) => (asked.push(name), own(name));
      const load = vm.compileFunction(
        fs.readFileSync(file, 'utf8'),
        ['exports', 'require', 'module', '__filename', '__dirname'],
        { parsingContext: vm.createContext({ process }) },
      );
      const module_ = { exports: {} };
      load(module_.exports, runner, module_, file, path.dirname(file));
      console.log(asked.at(-1), typeof module_.exports.index);`;
    const settings = { cwd: folder, encoding: 'utf8' };
    const { stdout, stderr } = spawnSync(NODE, ['-e', code, main], settings);
    assert.deepStrictEqual([stdout, stderr], ['./cluster2-rs.js function\n', '']);
  });

  it('is not loaded by threads of a worker, in which Node runs the preload too', async () => {
    const { folder } = lay('hoisted');
    const code = `
      const { Worker, isMainThread, parentPort } = require('node:worker_threads');
      const loaded = () => Object.keys(require.cache).filter((file) => file.endsWith('/load.js'));
      if (isMainThread) {
        const server = require('node:http').createServer((_request, response) =>
          new Worker(__filename).on('message', (inThread) =>
            response.end(JSON.stringify({ here: loaded().length, inThread }))));
        const Cluster = require('cluster2-rs');
        const cluster = new Cluster({ port: Number(process.env.PORT), noWorkers: 1, monPort: 0, pids: 'pids' });
        cluster.listen((callback) => callback(server));
        require(process.env.EVENTS)(cluster);
      } else parentPort.postMessage(loaded().length);`;
    write({ [path.join(folder, 'server.js')]: code });
    const env = { ...process.env, EVENTS: path.join(ROOT, 'test', 'fixtures', 'events.js') };
    const settings = { cwd: folder, env, port: await freePort() };
    const script = await new Script(path.join(folder, 'server.js'), settings).ready(1);
    const { body } = await request(script.port, '/');
    assert.deepStrictEqual(JSON.parse(body), { here: 1, inThread: 0 });
  });

  it('has named imports', () => {
    const { folder } = lay('hoisted');
    const code = `import Default, { Cluster, ClusterError, native } from 'cluster2-rs';
      console.log(Default === Cluster && Cluster.ClusterError === ClusterError && ClusterError.name);
      console.log(native, Cluster.native);`;
    write({ [path.join(folder, 'app.mjs')]: code });
    const { stdout, stderr } = spawnSync(NODE, [path.join(folder, 'app.mjs')], {
      encoding: 'utf8',
    });
    assert.deepStrictEqual([stdout, stderr], ['ClusterError\ntrue true\n', '']);
  });
});
