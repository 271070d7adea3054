'use strict';

// The message of a failed `cluster2 start` says what to do next.

const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { once } = require('node:events');
const { cluster2 } = require('../helpers/cli');
const { emptyFolder, removeFolders } = require('../helpers/folder');
const { VERSION } = require('../helpers/node');
const { freePort } = require('../helpers/ports');

const FAILED = ' (CLUSTER2_ERR_START_FAILED)';

describe('a start that fails says what to do', () => {
  let folder;
  beforeEach(() => (folder = emptyFolder()));
  afterEach(removeFolders);

  /** Starts one worker with this code. Returns the exit code, the last line, and the time. */
  function start(code, ...flags) {
    fs.writeFileSync(path.join(folder, 'app.js'), code);
    const begin = performance.now();
    const { status, stderr } = cluster2(folder, 'start', 'app.js', '--workers', '1', ...flags);
    const lines = stderr.trim().split('\n');
    const last = lines.at(-1).replace(/^\S+Z cluster2: /, '');
    return { status, last, lines, took: performance.now() - begin };
  }

  it('about a taken port of the monitor', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address();
    const { status, last } = start('', '--mon-port', String(port));
    server.close();
    const wanted =
      `address 127.0.0.1:${port} (option 'monPort') is already in use: by the monitor of another ` +
      'cluster? --mon-port takes another port, and --mon-port off (monPort: false) none ' +
      '(CLUSTER2_ERR_PORT_IN_USE)';
    assert.deepStrictEqual([status, last], [255, wanted]);
  });

  it('about a script that has ended, at once', () => {
    const { status, last, took } = start("console.log('nothing to do');", '--mon-port', 'off');
    assert.strictEqual(status, 255);
    assert.match(last, /^no worker became ready: worker \d+ exited with code 0\. It never called listen\(\): /);
    assert.ok(last.endsWith(`--no-listen (listen: false) runs it as a task${FAILED}`), last);
    assert.ok(took < 20_000, `it took ${took} ms of the 30 s that a start may take`);
  });

  it('about a script that never listens', () => {
    const { status, last } = start(
      'setInterval(() => {}, 1000);', '--mon-port', 'off', '--start-timeout', '1500',
    );
    assert.strictEqual(status, 255);
    assert.match(last, /^no worker became ready: worker \d+ was not ready in time\. It never called listen\(\): /);
    assert.ok(last.includes('--no-listen (listen: false) runs it as a task; a slow start gets more'));
    assert.ok(last.endsWith(`than 1.5 s by --start-timeout (startTimeout)${FAILED}`), last);
  });

  it('about a port that another process has, in one line', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address();
    const listens = `require('node:http').createServer().listen(${port}, '127.0.0.1');`;
    const { status, last, lines } = start(listens, '--mon-port', 'off');
    const monitored = start(
      `process.on('uncaughtExceptionMonitor', () => {}); ${listens}`, '--mon-port', 'off',
    );
    server.close();
    assert.strictEqual(status, 255);
    assert.ok(lines.every((line) => /^\S+Z cluster2: /.test(line)), 'Node prints no stack');
    assert.ok(monitored.lines.includes('Node.js ' + VERSION), 'unless the script listens');
    assert.match(
      last,
      /^no worker became ready: worker \d+ exited with code 1: Error: listen EADDRINUSE: address already in use 127\.0\.0\.1:\d+\. Another process listens there: `ss -ltnp` shows which \(CLUSTER2_ERR_START_FAILED\)$/,
    );
  });

  it('about a script that waits for a message, which does not exit', async () => {
    const port = await freePort();
    const { status, last } = start(
      "process.on('message', () => {});", '--mon-port', 'off', '--port', String(port),
      '--start-timeout', '1500',
    );
    assert.strictEqual(status, 255);
    assert.match(last, /was not ready in time/);
  });
});
