'use strict';

// Each row of the table "what you type with PM2 → what you type here" is typed, and does what it
// says.

const assert = require('node:assert');
const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { CLI, childrenOf } = require('../helpers/cluster');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { freePort } = require('../helpers/ports');
const { until, within } = require('../helpers/wait');

const GUIDE = path.join(__dirname, '..', '..', 'docs', 'guide', 'migration.md');
const [, TABLE] = fs
  .readFileSync(GUIDE, 'utf8')
  .match(/^\| what you type with PM2 \| what you type here \|\n\|[- |]+\|\n((?:\|.*\n)+)/m);
const ROWS = TABLE.trim().split('\n').map((row) => {
  const [, there, here] = row.split(' | ').length === 2 ? row.match(/^\| (.*) \| (.*) \|$/) : [];
  return { there, commands: [...here.matchAll(/`(cluster2 [^`]+)`/g)].map(([, line]) => line) };
});

/** The output of each command that ends. */
const PRINTS = {
  'status': /^cluster2 |2 of 2|\bready\b/m,
  'status --json': /"running": true/,
  'env PID --values': /^CLUSTER2_SLOT=\d$/m,
  'profile PID --seconds 1': /\.cpuprofile \(\d/,
  'heap PID': /\.heapsnapshot \(\d/,
  'reload': /^all \d workers are new$/m,
  'restart': /^restarted: 2 workers of master \d+ ready$/m,
  'scale +2': /^from 2 to 4 workers$/m,
  'scale 2': /^from \d to 2 workers$/m,
  'logs --tail 100': /says hello/,
  'reopen-logs': /log files opened again by \d+ workers?/,
  'completions bash': /^_cluster2\(\)/m,
  'shutdown --wait': /has ended$/m,
  'stop': /and its workers are gone$/m,
};
/** The output of each command that goes on. */
const SHOWS = { 'status --watch': /ready/, 'logs --follow': /says hello/ };

describe('what PM2 users type', () => {
  let folder, env;
  const masters = [];
  beforeEach(async () => {
    folder = emptyFolder();
    const text =
      "console.log('says hello'); require('http').createServer().listen(process.env.PORT);";
    fs.writeFileSync(path.join(folder, 'server.js'), text);
    fs.writeFileSync(path.join(folder, 'jobs.js'), 'setInterval(() => {}, 1000);');
    const app = { name: 'api', script: 'server.js', instances: 2 };
    const file = `module.exports = { apps: [${JSON.stringify(app)}] };`;
    fs.writeFileSync(path.join(folder, 'ecosystem.config.js'), file);
    env = {
      ...process.env,
      PATH: `${path.dirname(CLI)}:${process.env.PATH}`,
      PORT: String(await freePort()),
      ...{ CLUSTER2_MON_PORT: 'off', CLUSTER2_OUTPUT: 'files', CLUSTER2_MIN_READY_TIME: '50' },
    };
  });
  afterEach(async () => {
    for (const master of masters.splice(0)) {
      if (master.exitCode !== null || master.signalCode !== null) continue;
      for (const pid of [...childrenOf(master.pid), master.pid]) process.kill(pid, 'SIGKILL');
      await once(master, 'exit');
    }
    removeFolders();
  });

  const run = (line) => spawnSync('sh', ['-c', line], { cwd: folder, env, encoding: 'utf8' });
  const status = () => JSON.parse(run('cluster2 status --json').stdout || '{}');

  /** Starts a command that goes on, and waits until `shown` accepts its output. */
  async function stays(line, shown) {
    const child = spawn('sh', ['-c', `exec ${line}`], { cwd: folder, env });
    masters.push(child);
    let seen = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (seen += text));
    await until(`${line}: ${shown}`, () => shown(seen)).catch((error) => {
      throw new Error(`${error.message}\n${seen}`);
    });
    return child;
  }
  const isReady = () => {
    const { workers = [], master } = status();
    const ready = workers.filter(({ state }) => state === 'ready').length;
    return ready > 0 && ready === master.target;
  };
  const serve = () => stays('cluster2 start server.js --workers 2', isReady);

  it('is in a table of one command each', () => {
    assert.ok(ROWS.length > 20);
    for (const { there, commands } of ROWS) assert.ok(there && commands.length > 0, there);
  });

  for (const { there, commands } of ROWS) {
    it(`${there} → ${commands.join(', ')}`, async () => {
      for (const command of commands) {
        const what = command.slice('cluster2 '.length);
        if (/^start\b/.test(what)) {
          const master = await stays(command, isReady);
          master.kill();
          const [code] = await within(`${command} ends`, once(master, 'exit'));
          assert.strictEqual(code, 0, command);
        } else if (/>/.test(what)) {
          const { status: code, stderr } = run(command);
          assert.strictEqual(code, 0, stderr);
          assert.ok(fs.statSync(path.join(folder, what.split('> ')[1])).size > 0);
        } else if (SHOWS[what]) {
          await serve();
          const shown = await stays(command, (seen) => SHOWS[what].test(seen));
          shown.kill();
          await once(shown, 'exit');
        } else {
          await serve();
          assert.ok(PRINTS[what], `what does '${what}' print?`);
          const { status: code, stdout, stderr } = run(
            command.replace('PID', status().workers[0].pid),
          );
          assert.strictEqual(code, 0, stderr);
          assert.match(stdout, PRINTS[what]);
        }
      }
    });
  }
});
