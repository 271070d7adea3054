'use strict';

// `cluster2 import`: translates a file of PM2 to cluster2.json.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { cluster2 } = require('../helpers/cli');
const { emptyFolder, removeFolders } = require('../helpers/folder');

describe('cluster2 import', () => {
  let folder;
  beforeEach(() => (folder = emptyFolder()));
  afterEach(removeFolders);
  const write = (name, text) => fs.writeFileSync(path.join(folder, name), text);

  it('translates a file of PM2, and says what it cannot', () => {
    write(
      'ecosystem.config.js',
      `console.log('noise');
      module.exports = { apps: [
        { name: 'api', script: 'server.js', instances: 'max', exec_mode: 'cluster',
          args: '--a b', node_args: ['--stack-size=900'], env: { A: '1' }, port: 3000,
          max_memory_restart: '300M', kill_timeout: 5000, listen_timeout: 8000,
          out_file: 'x.log', watch: true, autorestart: true, env_production: {}, strange: 1 },
        { name: 'jobs', script: 'jobs.js', wait_ready: true, cron_restart: '0 0 * * *' },
      ] };`,
    );
    const { status, stdout, stderr } = cluster2(folder, 'import', 'ecosystem.config.js');
    assert.strictEqual(status, 0, stderr);
    assert.deepStrictEqual(JSON.parse(stdout), {
      apps: {
        api: {
          ...{ exec: 'server.js', noWorkers: 'max', args: ['--a', 'b'], output: 'files' },
          ...{ execArgv: ['--stack-size=900'], env: { A: '1', PORT: '3000' } },
          ...{ memThreshold: '300M', shutdownTimeout: 5000, startTimeout: 8000 },
        },
        jobs: { exec: 'jobs.js', noWorkers: 1 },
      },
    });
    const notes = [...stderr.matchAll(/^cluster2: (\w+): (\w+)/gm)].map(([, app, key]) => [app, key]);
    assert.deepStrictEqual(notes.sort(), [
      ['api', 'env_production'], ['api', 'out_file'], ['api', 'strange'], ['api', 'watch'],
      ['jobs', 'cron_restart'], ['jobs', 'wait_ready'],
    ]);
    // `check` accepts the result.
    write('cluster2.json', stdout);
    write('server.js', '');
    write('jobs.js', '');
    const checked = cluster2(folder, 'check');
    assert.strictEqual(checked.status, 0, checked.stderr);
    assert.match(checked.stdout, /^api:\noptions {2}valid$/m);
  });

  it('makes a plain file of a single app, also from JSON and from an ES module', () => {
    const app = { name: 'one', script: 'x.js' };
    const expected = { name: 'one', exec: 'x.js', noWorkers: 1 };
    write('pm2.json', JSON.stringify({ apps: [app] }));
    write('pm2.mjs', `export default ${JSON.stringify({ apps: app })};`);
    for (const name of ['pm2.json', 'pm2.mjs'])
      assert.deepStrictEqual(JSON.parse(cluster2(folder, 'import', name).stdout), expected, name);
  });

  it('keeps each app of a file, and all arguments and variables as PM2 has them', () => {
    const node = { node_args: '--stack-size=900', interpreter_args: '--title=x' };
    const env = { N: 1, ON: true, NOTHING: null };
    const one = { name: 'a', script: 'a.js', args: `--x "b c" 'd'`, ...node, env };
    write('pm2.json', JSON.stringify([one, { name: 'a', script: 'b.js' }, { name: '../c', script: 'npm' }]));
    const { stdout, stderr } = cluster2(folder, 'import', 'pm2.json');
    const { apps } = JSON.parse(stdout);
    assert.deepStrictEqual(Object.keys(apps).sort(), ['a', 'a1', 'c']);
    assert.deepStrictEqual(apps.a.args, ['--x', 'b c', 'd']);
    assert.deepStrictEqual(apps.a.execArgv, ['--stack-size=900', '--title=x']);
    assert.deepStrictEqual(apps.a.env, { N: '1', ON: 'true' });
    assert.match(stderr, /a1: the name "a" is bad or taken/);
    assert.match(stderr, /c: script npm is not a file for Node/);
    for (const bad of ['{}', '[null]', '{"apps":[{"name":"x"}]}']) {
      write('bad.json', bad);
      const { status, stdout: nothing, stderr: said } = cluster2(folder, 'import', 'bad.json');
      assert.deepStrictEqual([status, nothing], [1, ''], bad);
      assert.match(said, /app 1 of 1 must be an object with a `script`/);
    }
    write('slow.js', 'setInterval(() => {}, 1000); module.exports = { apps: [{ script: "x.js" }] };');
    assert.strictEqual(cluster2(folder, 'import', 'slow.js').status, 0);
  });

  it('names the other keys of a file, such as `deploy`', () => {
    const beside = { deploy: { production: { host: 'a' } }, strange: 1 };
    for (const [key, content] of [['apps', [{ script: 'x.js' }]], ['pm2', { script: 'x.js' }]]) {
      write('pm2.json', JSON.stringify({ [key]: content, ...beside }));
      const { status, stdout, stderr } = cluster2(folder, 'import', 'pm2.json');
      assert.deepStrictEqual([status, JSON.parse(stdout)], [0, { exec: 'x.js', noWorkers: 1 }], key);
      assert.strictEqual(
        stderr,
        'cluster2: deploy is left out: see docs/guide/deploying.md\n' +
          'cluster2: strange is left out: it is not known here\n',
      );
    }
  });

  it('ends a file that does not end, and says so', () => {
    for (const [name, text] of [
      ['loops.js', 'while (true);'],
      ['waits.mjs', 'await new Promise(() => setInterval(() => {}, 1000));'],
      ['floods.js', 'for (;;) console.log("noise");'],
    ]) {
      write(name, text);
      const { status, stdout, stderr } = cluster2(folder, 'import', name, '--timeout', '1');
      assert.deepStrictEqual([status, stdout], [1, ''], name);
      assert.match(stderr, /^cluster2: cannot read .*: it has not ended within 1 s \(--timeout\)\n$/);
    }
  });

  it('names a file that is missing, or that Node cannot read', () => {
    const missing = cluster2(folder, 'import');
    assert.strictEqual(missing.status, 2);
    assert.match(missing.stderr, /there is no file .*ecosystem\.config\.js/);
    write('bad.js', 'throw new Error("bad")');
    assert.match(cluster2(folder, 'import', 'bad.js').stderr, /cannot read .*bad\.js: [^]*Error: bad/);
  });
});
