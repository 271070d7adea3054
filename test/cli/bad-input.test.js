'use strict';

// Flags, environment variables and configuration files of the command line: their precedence, and
// errors for invalid ones.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { cluster2, startPlain } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { CLI, Script } = require('../helpers/cluster');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { freePort } = require('../helpers/ports');

describe('options of the command line', () => {
  let folder;
  beforeEach(() => (folder = emptyFolder()));
  afterEach(removeFolders);

  const write = (name, content) => {
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    fs.writeFileSync(path.join(folder, name), text);
  };
  const start = (args, env = {}) =>
    spawnSync(CLI, ['start', ...args], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, ...env },
    });
  const refused = ({ status, stderr }, message) => {
    assert.match(stderr, message);
    assert.strictEqual(status, 2, stderr);
  };

  beforeEach(() => write('server.js', "require('http').createServer().listen(process.env.PORT)"));

  it('the error for an invalid flag names the flag', () => {
    refused(
      start(['server.js', '--workers', '0']),
      /^cluster2: --workers must be a whole number from 1 to 1024, or 'max'; got "?0"?\n$/,
    );
    refused(
      start(['server.js', '--balance', 'x']),
      /^cluster2: --balance must be .*'least-connections', 'round-robin'/,
    );
    refused(start(['server.js', '--env', 'NAME']), /expected NAME=VALUE/);
  });

  it('the error for an invalid environment variable names the variable', () => {
    refused(
      start(['server.js'], { CLUSTER2_MON_PORT: '70000' }),
      /^cluster2: CLUSTER2_MON_PORT must be a port/,
    );
  });

  it('the error for an invalid configuration file names the file', () => {
    write('cluster2.json', { noWorkers: -1 });
    refused(
      start(['server.js']),
      /^cluster2: option 'noWorkers' in cluster2\.json must be a whole number/,
    );
    write('cluster2.json', { workers: 1 });
    refused(start(['server.js']), /^cluster2: cluster2\.json: option 'workers' is unknown/);
    write('cluster2.json', '[');
    refused(start(['server.js']), /^cluster2: the configuration file cluster2\.json is not valid JSON: /);
    for (const [text, key, at] of [
      ['{"apps":{"api":{"exec":"a.js"},\n"api":{"exec":"b.js"}}}', 'api', 'line 2 column 5'],
      ['{"port":1,"port":2}', 'port', 'line 1 column 16'],
      ['{"env":{"A":"1","A":"2"}}', 'A', 'line 1 column 19'],
    ]) {
      write('cluster2.json', text);
      const message = `the configuration file cluster2.json: the key "${key}" is there twice at ${at}`;
      refused(start(['server.js']), new RegExp(`^cluster2: ${message}\\n$`));
    }
    write('cluster2.json', []);
    refused(
      start(['server.js']),
      /^cluster2: the configuration file cluster2\.json must hold a JSON object\n$/,
    );
    refused(
      start(['server.js', '--config', 'none.json']),
      /^cluster2: cannot read the configuration file none\.json: /,
    );
  });

  it('an invalid configuration file does not prevent status and stop', async () => {
    const script = await startPlain();
    fs.writeFileSync(path.join(script.cwd, 'cluster2.json'), '{ "workers": 1 }');
    assert.strictEqual(cluster2(script.cwd, 'status').status, 0);
    assert.strictEqual(cluster2(script.cwd, 'stop').status, 0);
    await script.ended();
  });

  it('the error for a missing script, directory or Node names it', () => {
    refused(
      start(['server.js', '--cwd', 'nowhere']),
      new RegExp(`^cluster2: --cwd must be a directory; got ${folder}/nowhere\\n$`),
    );

    refused(start([]), /^cluster2: which script\?/);
    refused(
      start(['missing.js']),
      new RegExp(`^cluster2: there is no script ${folder}/missing\\.js\n$`),
    );
    refused(
      start(['server.js', '--node', 'nowhere']),
      /^cluster2: --node, CLUSTER2_NODE: there is no program nowhere\n$/,
    );
  });

  it('the error for an unknown command or flag suggests an existing one', () => {
    refused(spawnSync(CLI, ['strat'], { encoding: 'utf8' }), /start/);
    refused(start(['server.js', '--worker', '2']), /--workers/);
  });

  it('a busy port or a running cluster ends the start with exit code 255', async () => {
    const script = await startPlain();
    const busy = start(['server.js', '--port', String(script.port)]);
    assert.strictEqual(busy.status, 255);
    assert.match(
      busy.stderr,
      new RegExp(
        `^\\S+Z cluster2: address \\[::\\]:${script.port} is already in use \\(CLUSTER2_ERR_PORT_IN_USE\\)\n$`,
      ),
    );
    const second = start(['server.js', '--pids', script.pids]);
    assert.strictEqual(second.status, 255);
    assert.match(second.stderr, /\(CLUSTER2_ERR_ALREADY_RUNNING\)\n$/);
  });

  it('flags take precedence over variables, and variables over the file', async () => {
    write('cluster2.json', {
      exec: 'server.js',
      noWorkers: 3,
      monPort: false,
      ecv: { path: '/file' },
      pids: 'mine',
    });
    const port = await freePort();
    const cli = {
      cwd: folder,
      port,
      env: { CLUSTER2_WORKERS: '2', CLUSTER2_ECV_PATH: '/variable' },
    };
    const script = await new Script(path.join(folder, 'server.js'), {
      ...cli,
      cli: ['--ecv-path', '/flag'],
    }).ready(2);
    assert.strictEqual((await request(port, '/flag')).status, 200);
    assert.strictEqual(cluster2(folder, 'status').stdout.match(/^\d /gm).length, 2);
    assert.strictEqual(fs.existsSync(path.join(folder, 'mine/master.pid')), true);
    script.kill();
    await script.ended();
  });
});
