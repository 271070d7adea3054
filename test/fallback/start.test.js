'use strict';

// `cluster2 start` where there is no native command line: node runs the script as a worker would,
// so that one `npm start` works everywhere.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { parse } = require('../../bin/without-native');
const { Script } = require('../helpers/cluster');
const { cluster2 } = require('../helpers/cli');
const { emptyFolder, placeMain, removeFolders, write } = require('../helpers/installed');
const { NODE } = require('../helpers/node');

/** Prints its arguments and settings, and ends as its first argument says. */
const SCRIPT = `
  const { argv, execArgv, env: { PORT, NAME, CLUSTER2_PACKAGE }, pid } = process;
  const script = argv[1].split('/').pop();
  const [, , ...args] = argv;
  console.log(JSON.stringify({ script, args, execArgv, PORT, NAME, CLUSTER2_PACKAGE, cwd: process.cwd() }));
  const act = { exit: () => process.exit(7), kill: () => process.kill(pid, 'SIGKILL') }[args[0]];
  act?.();
`;

describe('cluster2 start without a native command line', () => {
  let folder;
  let main;
  beforeEach(() => {
    folder = fs.realpathSync(emptyFolder());
    main = path.join(folder, 'cluster2-rs');
    placeMain(main);
    write({ [path.join(folder, 'server.js')]: SCRIPT });
  });
  afterEach(removeFolders);

  const bin = () => path.join(main, 'bin', 'cluster2');
  const env = (more) => {
    const PATH = `${path.dirname(NODE)}:${process.env.PATH}`;
    return { ...process.env, PATH, PORT: undefined, NAME: undefined, ...more };
  };
  /** Runs the command, through sh or by node. */
  const run = (words, { by = [], variables } = {}) => {
    const [program, ...args] = [...by, bin(), ...words];
    const settings = { cwd: folder, env: env(variables), encoding: 'utf8', timeout: 10_000 };
    return spawnSync(program, args, settings);
  };
  const started = (words, settings) => {
    const { stdout, stderr, status } = run(words, settings);
    assert.strictEqual(status, 0, stderr);
    return JSON.parse(stdout);
  };

  for (const [how, by] of Object.entries({ 'through sh': [], 'by node': [NODE] })) {
    it(`runs the script by node, and one line says what is missing and why: ${how}`, () => {
      const { status, stdout, stderr } = run(['start', 'server.js', '--', 'a', 'b c', ''], { by });
      assert.strictEqual(status, 0);
      assert.deepStrictEqual(JSON.parse(stdout), {
        script: 'server.js',
        args: ['a', 'b c', ''],
        execArgv: [],
        cwd: folder,
      });
      assert.match(stderr, new RegExp(
        '^cluster2: warning: node runs server\\.js without workers, health check and monitor: the ' +
        'command line for this machine \\(linux-[^)]+\\) is missing: .*\\n$',
      ));
    });

    it(`ends as the script does: ${how}`, () => {
      assert.strictEqual(run(['start', 'server.js', '--', 'exit'], { by }).status, 7);
      assert.strictEqual(run(['start', 'server.js', '--', 'kill'], { by }).signal, 'SIGKILL');
    });
  }

  it('takes the settings of the script from flags, variables and the file, in this order', () => {
    const file = { exec: 'server.js', args: ['f'], port: 1, env: { NAME: 'file' }, noWorkers: 2 };
    write({ [path.join(folder, 'cluster2.json')]: JSON.stringify(file) });
    fs.mkdirSync(path.join(folder, 'sub'));
    assert.deepStrictEqual(started(['start']), {
      script: 'server.js', args: ['f'], execArgv: [], PORT: '1', NAME: 'file', cwd: folder,
    });
    const variables = { CLUSTER2_PORT: '2', CLUSTER2_CWD: 'sub' };
    const sub = path.join(folder, 'sub');
    const { PORT, cwd } = started(['start'], { variables });
    assert.deepStrictEqual([PORT, cwd], ['2', sub]);
    const flags = [
      'start', '--workers', '4', '--no-ecv', '--port=3', '--exec-argv=--trace-warnings',
      '--exec-argv', '--no-deprecation', '--ecv-control', 'server.js', '--env', 'NAME=a=b',
      '--mem-threshold', '5', '--cwd', 'sub', '--config', 'cluster2.json', '--', '--x',
    ];
    assert.deepStrictEqual(started(flags, { variables }), {
      script: 'server.js',
      args: ['--x'],
      execArgv: ['--trace-warnings', '--no-deprecation'],
      PORT: '3',
      NAME: 'a=b',
      cwd: sub,
    });
    const url = { CLUSTER2_PORT: 'tcp://10.0.0.1:80' };
    assert.strictEqual(started(['start'], { variables: url }).PORT, '1', 'as Kubernetes sets it');
    assert.strictEqual(started(['start', '--port', '1,2']).PORT, undefined);
  });

  it('knows which flags of the native command line have no value', () => {
    const { stdout } = cluster2(folder, 'start', '--help');
    const flags = [...stdout.matchAll(/^ {2,6}(?:-\w, )?(--[a-z-]+)( <|\[?=?<)?/gm)];
    assert.ok(flags.length > 20, stdout);
    for (const [, flag, hasValue] of flags) {
      const words = hasValue ? [flag, 'x.js'] : [flag];
      assert.strictEqual(parse([...words, 'server.js']).exec, 'server.js', flag);
    }
  });

  it('says what is wrong, with the exit codes of the native command line', () => {
    const cases = [
      [['start'], 2, /^cluster2: which script\? Name it after `start`/],
      [['start', 'server.js', '--port'], 2, /^cluster2: --port needs a value/],
      [['start', 'server.js', '--env', 'x'], 2, /^cluster2: --env must be NAME=VALUE; got x/],
      [['start', '--config', 'none.json'], 2, /^cluster2: cannot read the .* none\.json: ENOENT/],
      [['status'], 255, /^cluster2: the command line for this machine .* is missing/],
      [[], 255, /^cluster2: the command line for this machine .* is missing/],
    ];
    for (const [words, code, text] of cases) {
      const { status, stderr } = run(words);
      assert.deepStrictEqual([status, text.test(stderr)], [code, true], stderr);
    }
  });

  it('fails where the native one is required', () => {
    const variables = { CLUSTER2_REQUIRE_NATIVE: '1' };
    const { status, stdout, stderr } = run(['start', 'server.js'], { variables });
    assert.deepStrictEqual([status, stdout], [255, '']);
    assert.match(stderr, /^cluster2: the command line for this machine .* is missing.*npm run build/);
  });

  it('on Windows, a Ctrl-C reaches the script once: the parent does not pass it on', async () => {
    const text = `
      let count = 0;
      process.on('SIGINT', () => console.log('SIGINT', ++count));
      process.on('SIGTERM', () => process.exit(count));
      setInterval(() => {}, 1000);
      console.log('ready');`;
    const pretend = path.join(folder, 'pretend.js');
    write({
      [path.join(folder, 'waits.js')]: text,
      [pretend]: "Object.defineProperty(process, 'platform', { value: 'win32' });",
    });
    const NODE_OPTIONS = `--require "${pretend}"`;
    const settings = { args: ['start', 'waits.js'], cwd: folder, env: env({ NODE_OPTIONS }) };
    const script = new Script(path.join(main, 'bin', 'cluster2-rs.js'), {
      ...settings,
      detached: true,
    });
    await script.until('it runs', () => script.output === 'ready\n');
    const [child] = script.workers();
    process.kill(-script.pid, 'SIGINT');
    await script.until('the script gets the signal', () => script.output.includes('SIGINT 1'));
    process.kill(child, 'SIGTERM');
    assert.deepStrictEqual(await script.ended(), { code: 1, signal: null });
  });

  it('passes signals to the script', async () => {
    const text = `
      process.on('SIGTERM', () => process.exit(9));
      setInterval(() => {}, 1000);
      console.log('ready');`;
    write({ [path.join(folder, 'waits.js')]: text });
    const script = new Script(bin(), { args: ['start', 'waits.js'], cwd: folder, env: env() });
    await script.until('it runs', () => script.output === 'ready\n');
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 9, signal: null });
  });
});
