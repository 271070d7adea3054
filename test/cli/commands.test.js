'use strict';

// The commands of the command line on a cluster that runs, whoever started it, and what they answer where something is wrong.

const assert = require('node:assert');
const { once } = require('node:events');
const { execFile, spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');
const { cluster2, startPlain } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { CLI, Script, freePort } = require('../helpers/cluster');
const { VERSION } = require('../helpers/node');
const { until, within } = require('../helpers/wait');

const NOWHERE = { status: 3, signal: null, stdout: '' };
let folder;

beforeEach(() => (folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'))));
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

const write = (name, content) => fs.writeFileSync(path.join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
const numbers = (script) => JSON.parse(cluster2(script.cwd, 'status', '--json').stdout);

describe('cluster2 status', () => {
  it('shows a table for people, without colours where it is no terminal', async () => {
    const script = await startPlain();
    const { status, stdout } = cluster2(script.cwd, 'status');
    assert.strictEqual(status, 0);
    assert.match(stdout, new RegExp(`^cluster2 \\d+\\.\\d+\\.\\d+ on .+: master ${script.pid}, running, Node ${VERSION}, up \\d+ s$`, 'm'));
    assert.match(stdout, new RegExp(`^listening on 127\\.0\\.0\\.1:${script.port}; monitor off$`, 'm'));
    assert.match(stdout, /^health check AVAILABLE$/m);
    const rows = stdout.split('\n').filter((line) => /^[01] /.test(line));
    assert.deepStrictEqual(rows.map((row) => Number(row.split(/ +/)[1])).sort(), script.workers().sort());
    assert.ok(rows.every((row) => /^[01] +\d+ +1 +ready +\d+ s /.test(row)), stdout);
  });

  it('says how many workers there are, where there should be more', async () => {
    const script = await startPlain();
    assert.doesNotMatch(cluster2(script.cwd, 'status').stdout, /workers are ready/);
    fs.writeFileSync(path.join(script.cwd, 'app.js'), "throw new Error('bad code')");
    script.workers().forEach((pid) => process.kill(pid, 'SIGKILL'));
    await until('it is said', () => /^0 of 2 workers are ready$/m.test(cluster2(script.cwd, 'status').stdout));
  });

  it('tells a path that is no directory as that, and asks for no other user', () => {
    write('file', '');
    const { status, stderr } = cluster2(folder, 'status', '--pids', 'file');
    assert.strictEqual(status, 1);
    const reason = /^cluster2: cannot look into \S+\/file: Not a directory .* \(option 'pids'\) \(CLUSTER2_ERR_\w+\)\n$/;
    assert.match(stderr, reason);
    for (const command of ['status', 'start']) {
      const empty = cluster2(folder, command, '--pids', '');
      assert.deepStrictEqual([empty.status, empty.stderr], [2, 'cluster2: --pids must be a text that is not empty; got ""\n']);
    }
  });

  it('shows JSON for programs, as the method status() does, of a cluster that Node started', async () => {
    const script = await new Script('http.js', { port: await freePort(), options: { monPort: false } }).ready();
    const status = numbers(script);
    assert.deepStrictEqual([status.running, status.master.pid, status.workers.length], [true, script.pid, 2]);
  });

  it('--watch shows it again each second, with requests in a second, and ends with the cluster', async () => {
    const script = await startPlain();
    const watch = spawn(CLI, ['status', '--watch'], { cwd: script.cwd });
    let seen = '';
    watch.stdout.on('data', (text) => (seen += text));
    const ended = new Promise((resolve) => watch.on('close', resolve));
    await until('there is a second picture', () => seen.split('master').length > 3);
    const rates = seen.split('restarts').at(-1).split('\n').slice(1, 3).map((row) => row.trim().split(/ {2,}/).at(-5));
    assert.deepStrictEqual(rates, ['0', '0']);
    script.kill();
    assert.strictEqual(await within('it ends', ended, 10_000), 3);
  });
});

describe('the commands', () => {
  it('scale, reload, ecv, shutdown --wait do it, and say what came of it', async () => {
    const script = await startPlain();
    assert.deepStrictEqual(cluster2(script.cwd, 'scale', '3'), { status: 0, signal: null, stdout: 'from 2 to 3 workers\n', stderr: '' });
    await script.ready(3);
    assert.strictEqual(cluster2(script.cwd, 'reload').stdout, 'all 3 workers are new\n');
    assert.match(cluster2(script.cwd, 'ecv', 'disable').stdout, /^out of rotation: /);
    assert.match((await request(script.port, '/ecv')).body, /^status=DISABLED/);
    assert.match(cluster2(script.cwd, 'status').stdout, /^health check DISABLED for \d+ s$/m);
    assert.match(cluster2(script.cwd, 'ecv', 'enable').stdout, /^in rotation: /);
    assert.match((await request(script.port, '/ecv')).body, /^status=AVAILABLE/);
    const held = request(script.port, '/late/x/900');
    await until('the request is under way', () => numbers(script).workers.some(({ requests }) => requests.active === 1));
    const { status, stdout, stderr } = cluster2(script.cwd, 'shutdown', '--wait');
    assert.deepStrictEqual([status, stdout], [0, `the cluster of master ${script.pid} has ended\n`]);
    assert.match(stderr, /cluster2: \d workers? left, with 1 requests? and 1 connections?\n/);
    assert.strictEqual((await held).status, 200);
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('scale +N and -N change the number by that, and say so where it cannot be', async () => {
    const script = await startPlain();
    assert.strictEqual(cluster2(script.cwd, 'scale', '+2').stdout, 'from 2 to 4 workers\n');
    assert.strictEqual(cluster2(script.cwd, 'scale', '-1').stdout, 'from 4 to 3 workers\n');
    assert.strictEqual(numbers(script).master.target, 3);
    const { status, stderr } = cluster2(script.cwd, 'scale', '-3');
    assert.strictEqual(status, 1);
    assert.match(stderr, /must be a whole number from 1 to 1024; got 0/);
    for (const nonsense of ['+', '-', '+-1', '1.5', '--1', 'two']) assert.strictEqual(cluster2(script.cwd, 'scale', nonsense).status, 2, nonsense);
    assert.strictEqual(numbers(script).master.target, 3);
  });

  it('shutdown answers when nobody new gets in, and stop kills', async () => {
    const script = await startPlain();
    const held = request(script.port, '/late/x/60000').catch((error) => error);
    await until('the request is under way', () => numbers(script).workers.some(({ requests }) => requests.active === 1));
    assert.match(cluster2(script.cwd, 'shutdown').stdout, new RegExp(`^master ${script.pid} accepts no new connection`));
    assert.strictEqual(cluster2(script.cwd, 'stop').stdout, `master ${script.pid} and its workers are gone\n`);
    assert.ok((await held) instanceof Error);
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('do not wait for a master that is stopped', async () => {
    const script = await startPlain();
    script.kill('SIGSTOP');
    const run = promisify(execFile);
    const ask = (...args) => within('it answers', run(CLI, args, { cwd: script.cwd }).catch((error) => error), 15_000);
    const [waits, leaves] = await Promise.all([ask('shutdown', '--wait'), ask('shutdown')]);
    script.kill('SIGCONT');
    assert.deepStrictEqual([waits.code, leaves.code], [1, 1]);
    assert.match(waits.stderr, /its master is stuck or stopped; `cluster2 stop` ends it \(CLUSTER2_ERR_CONTROL\)\n$/);
    assert.match(leaves.stderr, /stuck or stopped; SIGTERM was sent, and ends it gracefully when it goes on;/);
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
  });

  it('a reload during a reload says that it comes after that one', async () => {
    const script = await startPlain();
    fs.writeFileSync(path.join(script.cwd, 'app.js'), 'exports.begin = (go) => setTimeout(go, 500);');
    script.kill('SIGHUP');
    await script.until('a reload is under way', () => script.errors.includes('reload 1 of 2'));
    assert.match(cluster2(script.cwd, 'status').stdout, /^reload: 0 of 2 workers are new$/m);
    const { stdout, stderr } = cluster2(script.cwd, 'reload');
    assert.strictEqual(stdout, 'all 2 workers are new\n');
    assert.match(stderr, /^cluster2: a reload is under way; all workers are replaced once more after it\n/);
    const told = /all 2 workers are new; once more, as was asked for meanwhile[^]*all 2 workers are new\n/;
    await script.until('both are told', () => told.test(script.errors));
  });

  it('a reload that fails says why, and ends with 1', async () => {
    const script = await startPlain();
    fs.writeFileSync(path.join(script.cwd, 'app.js'), "throw new Error('bad code')");
    const { status, stdout, stderr } = cluster2(script.cwd, 'reload');
    assert.deepStrictEqual([status, stdout], [1, '']);
    assert.match(stderr, /^cluster2: the reload failed, .*bad code.*\(CLUSTER2_ERR_RELOAD_FAILED\)\n$/s);
  });

  it('where no cluster runs, those that want one end with 3, and those that want none have what they want', () => {
    for (const reason of [`there is no directory ${folder}/pids (option 'pids')`, `no cluster is running in ${folder}/pids`]) {
      for (const args of [['status'], ['status', '--watch'], ['reload'], ['scale', '2'], ['ecv', 'enable'], ['reopen-logs']]) {
        const { stderr, ...rest } = cluster2(folder, ...args);
        assert.deepStrictEqual(rest, NOWHERE, args.join(' '));
        assert.ok(stderr.startsWith(`cluster2: ${reason}`), stderr);
      }
      for (const args of [['stop'], ['shutdown'], ['shutdown', '--wait']]) {
        const { status, stdout, stderr } = cluster2(folder, ...args);
        assert.deepStrictEqual([status, stdout.endsWith(`${reason}\n`), stderr], [0, true, ''], stdout);
      }
      fs.mkdirSync(path.join(folder, 'pids'), { recursive: true });
    }
  });

  it('find the cluster by --pids, CLUSTER2_PIDS, or the configuration file', async () => {
    const script = await startPlain({ flags: ['--pids', path.join(folder, 'here')] });
    assert.strictEqual(cluster2(folder, 'status', '--pids', 'here').status, 0);
    const { status } = spawnSync(CLI, ['status'], { cwd: folder, env: { ...process.env, CLUSTER2_PIDS: 'here' } });
    assert.strictEqual(status, 0);
    write('cluster2.json', { pids: 'here' });
    assert.strictEqual(cluster2(folder, 'status').status, 0);
    assert.strictEqual(cluster2(script.cwd, 'status').status, 3);
  });
});

describe('output that nobody reads any more', () => {
  it('ends a command that would go on for ever', async () => {
    const script = await startPlain();
    fs.mkdirSync(path.join(script.cwd, 'logs'));
    fs.writeFileSync(path.join(script.cwd, 'logs', 'a.log'), 'line\n');
    for (const command of ['status --watch', 'logs --follow a.log']) {
      const running = spawn('sh', ['-c', `"$0" ${command} | head -n 1`, CLI], { cwd: script.cwd, stdio: 'ignore' });
      // What is to be followed must be written for somebody to miss its reader.
      const writing = setInterval(() => fs.appendFileSync(path.join(script.cwd, 'logs', 'a.log'), 'more\n'), 100);
      try {
        assert.deepStrictEqual(await within('it ends', once(running, 'exit'), 10_000), [0, null]);
      } finally {
        clearInterval(writing);
      }
    }
  });
});

describe('bad input to the command line', () => {
  const start = (args, env = {}) => spawnSync(CLI, ['start', ...args], { cwd: folder, encoding: 'utf8', env: { ...process.env, ...env } });
  const refused = ({ status, stderr }, message) => {
    assert.match(stderr, message);
    assert.strictEqual(status, 2, stderr);
  };

  beforeEach(() => write('server.js', "require('http').createServer().listen(process.env.PORT)"));

  it('a flag’s value is refused by the flag’s name', () => {
    refused(start(['server.js', '--workers', '0']), /^cluster2: --workers must be a whole number from 1 to 1024; got "?0"?\n$/);
    refused(start(['server.js', '--balance', 'x']), /^cluster2: --balance must be .*'least-connections', 'round-robin'/);
    refused(start(['server.js', '--env', 'NAME']), /expected NAME=VALUE/);
  });

  it('a variable’s value is refused by the variable’s name', () => {
    refused(start(['server.js'], { CLUSTER2_MON_PORT: '70000' }), /^cluster2: CLUSTER2_MON_PORT must be a port/);
  });

  it('the configuration file’s content is refused by the file’s name', () => {
    write('cluster2.json', { noWorkers: -1 });
    refused(start(['server.js']), /^cluster2: option 'noWorkers' in cluster2\.json must be a whole number/);
    write('cluster2.json', { workers: 1 });
    refused(start(['server.js']), /^cluster2: cluster2\.json: option 'workers' is unknown/);
    write('cluster2.json', '[');
    refused(start(['server.js']), /^cluster2: the configuration file cluster2\.json is no JSON: /);
    write('cluster2.json', []);
    refused(start(['server.js']), /^cluster2: the configuration file cluster2\.json must hold a JSON object\n$/);
    refused(start(['server.js', '--config', 'none.json']), /^cluster2: cannot read the configuration file none\.json: /);
  });

  it('a configuration file that is wrong keeps nobody from asking or ending a cluster', async () => {
    const script = await startPlain();
    fs.writeFileSync(path.join(script.cwd, 'cluster2.json'), '{ "workers": 1 }');
    assert.strictEqual(cluster2(script.cwd, 'status').status, 0);
    assert.strictEqual(cluster2(script.cwd, 'stop').status, 0);
    await script.ended();
  });

  it('a script, a directory or a Node that is not there is named', () => {
    refused(start(['server.js', '--cwd', 'nowhere']), new RegExp(`^cluster2: --cwd must be a directory; got ${folder}/nowhere\\n$`));

    refused(start([]), /^cluster2: which script\?/);
    refused(start(['missing.js']), new RegExp(`^cluster2: there is no script ${folder}/missing\\.js\n$`));
    refused(start(['server.js', '--node', 'nowhere']), /^cluster2: --node, CLUSTER2_NODE: there is no program nowhere\n$/);
  });

  it('commands and flags that do not exist are shown with what there is', () => {
    refused(spawnSync(CLI, ['strat'], { encoding: 'utf8' }), /start/);
    refused(start(['server.js', '--worker', '2']), /--workers/);
  });

  it('what keeps the cluster from starting ends with 255: a busy port, another cluster', async () => {
    const script = await startPlain();
    const busy = start(['server.js', '--port', String(script.port)]);
    assert.strictEqual(busy.status, 255);
    assert.match(busy.stderr, new RegExp(`^cluster2: address \\[::\\]:${script.port} is already in use \\(CLUSTER2_ERR_PORT_IN_USE\\)\n$`));
    const second = start(['server.js', '--pids', script.pids]);
    assert.strictEqual(second.status, 255);
    assert.match(second.stderr, /\(CLUSTER2_ERR_ALREADY_RUNNING\)\n$/);
  });

  it('options are taken from flags, then variables, then the file', async () => {
    write('cluster2.json', { exec: 'server.js', noWorkers: 3, monPort: false, ecv: { path: '/file' }, pids: 'mine' });
    const port = await freePort();
    const cli = { cwd: folder, port, env: { CLUSTER2_WORKERS: '2', CLUSTER2_ECV_PATH: '/variable' } };
    const script = await new Script(path.join(folder, 'server.js'), { ...cli, cli: ['--ecv-path', '/flag'] }).ready(2);
    assert.strictEqual((await request(port, '/flag')).status, 200);
    assert.strictEqual(cluster2(folder, 'status').stdout.match(/^\d /gm).length, 2);
    assert.strictEqual(fs.existsSync(path.join(folder, 'mine/master.pid')), true);
    script.kill();
    await script.ended();
  });
});

describe('what the definition of arguments makes', () => {
  it('the help names every exit code', () => {
    const { stdout } = cluster2(folder, '--help');
    for (const code of [0, 1, 2, 3, 255]) assert.match(stdout, new RegExp(`^ {2}${code} +\\S`, 'm'));
  });

  it('completions that bash takes', () => {
    const { stdout } = cluster2(folder, 'completions', 'bash');
    write('completions', stdout);
    const script = 'source ./completions; COMP_WORDS=(cluster2 sta); COMP_CWORD=1; _cluster2 cluster2 sta cluster2; echo "${COMPREPLY[*]}"';
    assert.strictEqual(spawnSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8' }).stdout, 'start status\n');
  });

  it('a manual page of the whole and of each command', () => {
    assert.match(cluster2(folder, 'man').stdout, /^\.TH cluster2 1 /m);
    assert.match(cluster2(folder, 'man', 'start').stdout, /\\-\\-mem\\-threshold/);
    assert.strictEqual(cluster2(folder, 'man', 'nothing').status, 2);
  });
});
