'use strict';

// Showing what a worker executes costs an idle worker nothing, and does not change what a busy one
// does.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const Cluster = require('../..');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');
const { elapse, until } = require('../helpers/wait');

async function start(options = {}, settings = {}) {
  const script = new Script('checked-work.js', { port: await freePort(), options, ...settings });
  await script.ready(options.noWorkers ?? 1);
  return { script, cluster: new Cluster({ pids: script.pids }) };
}

/** How often each thread of a process was woken, by its name. */
function wakes(pid) {
  const threads = fs.readdirSync(`/proc/${pid}/task`).map((thread) => {
    const status = fs.readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    const find = (name) => status.match(new RegExp(`^${name}:\\s*(.*)$`, 'm'))[1];
    return [thread === String(pid) ? 'main' : find('Name'), Number(find('voluntary_ctxt_switches'))];
  });
  return Object.fromEntries(threads);
}

/** Asks for stacks one after another until `done` settles. Returns how many came. */
async function askUntil(done, cluster, script) {
  let isOver = false;
  const over = Promise.resolve(done).finally(() => (isOver = true));
  const shown = [];
  while (!isOver) {
    const [pid] = script.workers();
    const ask = pid === undefined ? undefined : cluster.stack(pid);
    const result = await ask?.catch(({ code }) => ({ code }));
    if (result) shown.push(result);
    await elapse(1, 'the next one');
  }
  return { result: await over, shown };
}

describe('showing what a worker executes', () => {
  it('wakes no idle worker', async () => {
    const { script } = await start();
    const [pid] = script.workers();
    await until('the start is over', async () => {
      const { main } = wakes(pid);
      await elapse(500, 'a worker that starts would be woken');
      return wakes(pid).main - main <= 1;
    });
    const before = wakes(pid);
    await elapse(3000, 'three beats');
    const after = wakes(pid);
    assert.strictEqual(after['cluster2-watch'] - before['cluster2-watch'], 0);
    const woken = after.main - before.main;
    assert.ok(woken <= 8, `the event loop was woken ${woken} times`);
  });

  it('changes no result, at full rate', async function () {
    this.timeout(30_000);
    const { script, cluster } = await start();
    const work = request(script.port, '/work/5000');
    const { result, shown } = await askUntil(work, cluster, script);
    assert.match(result.body, /^\d+ \d+$/, result.body);
    const stacks = shown.filter(({ stack }) => stack !== null);
    assert.ok(stacks.length > 100, `${stacks.length} stacks of ${shown.length}`);
    assert.deepStrictEqual(script.emitted('died'), []);
  });

  it('does not disturb the end of a worker', async function () {
    this.timeout(30_000);
    const { script, cluster } = await start({ noWorkers: 1 });
    const ends = async () => {
      for (let round = 1; round <= 6; round++) {
        const listening = script.emitted('listening').length;
        request(script.port, '/work/3000').catch(() => {});
        await request(script.port, '/exit').catch(() => {});
        await script.ready(listening + 1);
      }
    };
    await askUntil(ends(), cluster, script);
    await script.until('all ends are reported', () => script.emitted('died').length >= 6);
    const died = script.emitted('died').map(([, { code, signal }]) => code ?? signal);
    assert.deepStrictEqual(died, Array(6).fill(7));
  });

  it('does not delay the kill of a stopped worker', async () => {
    const { script } = await start({ maxHeartbeatDelay: 1000 });
    const [pid] = script.workers();
    process.kill(pid, 'SIGSTOP');
    await script.until('it is killed', () => script.emitted('died').length === 1);
    const [[, { age, waiting }]] = script.emitted('unresponsive');
    assert.deepStrictEqual(waiting, { reason: 'stopped' });
    // A worker that is not stopped has a second to show what it executes.
    assert.ok(age < 1000 + 250 + 700, `${age}`);
  });

  it('is refused where no cluster runs', async () => {
    const script = new Script('call-method.js', { args: ['stack', '[1]'] });
    await script.ended();
    assert.strictEqual(JSON.parse(script.output).error.code, 'CLUSTER2_ERR_NOT_RUNNING');
  });

  it('follows the source maps of workers that use them', async () => {
    const folder = fs.mkdtempSync(path.join(fs.realpathSync(require('node:os').tmpdir()), 'map-'));
    try {
      // Line 3 of the source is line 1 of what runs.
      const mappings = 'AAEA';
      const map = { version: 3, sources: ['source.ts'], names: [], mappings };
      fs.writeFileSync(path.join(folder, 'made.js.map'), JSON.stringify(map));
      const made = 'for(;;);\n//# sourceMappingURL=made.js.map\n';
      fs.writeFileSync(path.join(folder, 'made.js'), made);
      for (const execArgv of [['--enable-source-maps'], []]) {
        const env = { MAPPED: path.join(folder, 'made.js') };
        const { script } = await start({ maxHeartbeatDelay: 1000, execArgv }, { env });
        request(script.port, '/map').catch(() => {});
        await script.until('it is killed', () => script.emitted('died').length === 1);
        const [[, { frames, stack }]] = script.emitted('unresponsive');
        const expected = execArgv.length > 0 ? ['source.ts', 3] : ['made.js', 1];
        const { file, line } = frames.find((frame) => frame.file.startsWith(folder));
        assert.deepStrictEqual([path.basename(file), line], expected, stack);
        assert.ok(stack.includes(`${file}:${line}:`), stack);
        script.kill('SIGKILL');
      }
    } finally {
      fs.rmSync(folder, { recursive: true, force: true });
    }
  });
});
