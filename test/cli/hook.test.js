'use strict';

// `--on-event`: a command for each event, one at a time.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { startPlain, statusOf } = require('../helpers/cli');
const { isAlive } = require('../helpers/cluster');

/** Starts a cluster with this hook. Returns the script, and `lines()` of the hook's file. */
async function start(command, settings) {
  const script = await startPlain({ flags: ['--on-event', command], ...settings });
  const file = path.join(script.cwd, 'hooked');
  const lines = () =>
    fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
  return { script, lines };
}

describe('--on-event', () => {
  it('gets each event as JSON, in order, also the last ones', async () => {
    const { script, lines } = await start('printf "%s " "$CLUSTER2_EVENT" >> hooked; cat >> hooked');
    // `workers()` may include the command, which is a child of the master too.
    process.kill(statusOf(script.cwd).workers[0].pid, 'SIGKILL');
    await script.ready(3);
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
    const events = lines().map((line) => {
      const at = line.indexOf(' ');
      const event = JSON.parse(line.slice(at));
      assert.strictEqual(event.type, line.slice(0, at));
      return event;
    });
    const numbers = events.map(({ seq }) => seq);
    assert.deepStrictEqual(numbers, numbers.map((_, index) => index + 1));
    assert.ok(events.some(({ type, message }) => type === 'exit' && /crash/.test(message)));
    assert.strictEqual(events.filter(({ type }) => type === 'exit').length, 3);
  });

  it('runs one at a time, and says when one fails', async () => {
    const { script, lines } = await start(
      'echo begin >> hooked; sleep 0.02; echo end >> hooked; exit 7',
    );
    await script.until('two have run', () => lines().length >= 4);
    script.kill();
    await script.ended();
    for (const [index, line] of lines().entries())
      assert.strictEqual(line, index % 2 === 0 ? 'begin' : 'end');
    assert.match(script.errors, /--on-event, for '\w+': the command ended with exit status: 7/);
  });

  it('is killed with all that it started when it outlives the cluster by 5 s', async () => {
    const { script, lines } = await start('sleep 300 & echo $! >> hooked; wait');
    await script.until('one runs', () => lines().length === 1);
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
    assert.deepStrictEqual(lines().map(Number).filter(isAlive), []);
    // No command begins after that.
    assert.strictEqual(lines().length, 1);
    assert.match(script.errors, /the command took longer than 5 s and was killed/);
  });

  it('gets nothing that belongs to the master', async () => {
    const { script, lines } = await start('ls /proc/self/fd >> hooked; env | grep -cE "NOTIFY_SOCKET|LISTEN_" >> hooked', {
      env: { LISTEN_FDS: '0', LISTEN_PID: '1', NOTIFY_SOCKET: '@cluster2-test-nobody' },
    });
    await script.until('one has run', () => lines().length >= 5);
    // Standard input, output and error, the file, and the directory that ls looks at.
    assert.deepStrictEqual(lines().slice(0, 5), ['0', '1', '2', '3', '0']);
  });
});
