'use strict';

// A spare has run the code of a first request before its script runs, and the script cannot tell.

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { startPlain } = require('../helpers/cli');
const { request } = require('../helpers/client');
const { settled } = require('../helpers/spares');

const PRELOAD = path.join(__dirname, '..', 'fixtures', 'observing.js');

const start = (env) => startPlain({ file: 'observed.js', flags: ['--spares', '1'], env });

/** What a worker and a spare have printed, by their pids. */
async function told(script) {
  const { ready: [worker], spares: [spare] } = await settled(script);
  const all = script.output.split('\n').filter((line) => line.startsWith('event '));
  const events = all.map((line) => JSON.parse(line.slice('event '.length)));
  const by = (pid) => events.find(({ from }) => from === pid).event;
  return { worker: by(worker), spare: by(spare), pids: { worker, spare } };
}

/** How often a process has called a function, by the coverage that V8 writes as it ends. */
function callsOf(name, pid, folder) {
  const file = fs.readdirSync(folder).find((one) => one.startsWith(`coverage-${pid}-`));
  const { result } = JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8'));
  const functions = result.flatMap((script) => script.functions);
  const found = functions.find(({ functionName }) => functionName === name);
  return found?.ranges[0].count ?? 0;
}

describe('the warm-up of a spare', () => {
  it('runs what serves a request, and a worker that serves at once has none', async () => {
    const coverage = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-coverage-'));
    try {
      const script = await start({ NODE_V8_COVERAGE: coverage });
      const { pids } = await told(script);
      script.kill();
      await script.ended();
      const calls = (pid) =>
        ['warmUp', 'serveOne', 'mute'].map((name) => callsOf(name, pid, coverage));
      // It came to its end: `mute` is called for a socket, a response and a server.
      assert.deepStrictEqual(calls(pids.spare), [1, 1, 3]);
      assert.deepStrictEqual(calls(pids.worker), [0, 0, 0]);
    } finally {
      fs.rmSync(coverage, { recursive: true });
    }
  });

  it('leaves nothing that its script could see, and is no request', async () => {
    const script = await start();
    const { worker, spare } = await told(script);
    assert.deepStrictEqual(spare, worker);
    const { workers } = await script.status();
    assert.deepStrictEqual(workers.map(({ requests }) => requests.total), [0, 0, 0]);
    assert.match((await request(script.port, '/')).body, /^\d+$/);
  });

  it('is not seen by what is preloaded', async () => {
    const script = await start({ NODE_OPTIONS: `--require ${PRELOAD}` });
    const { worker, spare } = await told(script);
    assert.deepStrictEqual(spare, worker);
  });
});
