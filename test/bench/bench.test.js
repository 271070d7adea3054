'use strict';

// The benchmark: its statistics and reports. A run measures, ends and leaves nothing behind. No
// speed is checked.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { PEERS, SERVERS } = require('../../bench/lib/peer');
const { plot } = require('../../bench/lib/plot');
const { markdown, toJson } = require('../../bench/lib/report');
const { SCENARIOS, METRICS } = require('../../bench/lib/scenarios');
const { summarize, judge } = require('../../bench/lib/stats');
const { TARGETS } = require('../../bench/lib/targets');
const { isAlive } = require('../helpers/cluster');
const { until, within } = require('../helpers/wait');

const RUN = path.join(__dirname, '..', '..', 'bench', 'run.js');

/** The rounds of one metric, by peer. */
const samplesOf = (scenario, metric, peers) =>
  Object.entries(peers).flatMap(([peer, values]) =>
    values.map((value, index) => ({
      scenario,
      round: index + 1,
      peer,
      values: { [metric]: value },
    })),
  );

function resultOf(samples, problems = []) {
  return {
    date: '2026-01-02T03:04:05.000Z',
    machine: { cores: 2, cpu: 'A <cheap> CPU', memoryGb: 4, kernel: '6.1' },
    versions: { cluster2: '1.0.0', node: 'v20.0.0', wrk: '4.1.0' },
    options: { scenarios: Object.keys(SCENARIOS), rounds: 3, seconds: 1 },
    summary: summarize(samples),
    targets: judge(samples),
    problems,
    samples,
  };
}

describe('the numbers of the benchmark', () => {
  const SAMPLES = [
    ...samplesOf('one-shot', 'oneShot', {
      cluster2: [100, 200, 50],
      'node-cluster': [50, 80, 50],
      reuseport: [100, 100, 100],
    }),
    ...samplesOf('memory', 'rss', { cluster2: [46, 47, 48], bare: [42, 42, 50] }),
  ];
  const rowOf = (peer) =>
    summarize(SAMPLES).find((row) => row.metric === 'oneShot' && row.peer === peer);

  it('become medians, and ratios within each round', () => {
    const { median, min, max, ratio } = rowOf('node-cluster');
    assert.deepStrictEqual({ median, min, max, ratio }, { median: 50, min: 50, max: 80, ratio: 2 });
    assert.strictEqual(rowOf('cluster2').ratio, null);
  });

  it('are compared with the targets', () => {
    const verdict = (name) => judge(SAMPLES).find((target) => target.name === name);
    assert.deepStrictEqual(verdict('one request a connection, rate ÷ node:cluster'), {
      name: 'one request a connection, rate ÷ node:cluster',
      bound: '>= 1.5',
      measured: 2,
      met: true,
    });
    assert.strictEqual(verdict('memory of the master over bare node, RSS, MB').met, true);
    assert.strictEqual(verdict("health checks ÷ the app's own hello").met, null);
  });

  it('have targets only for metrics that are measured', () => {
    for (const { name, metric, of, to } of TARGETS) {
      const scenario = Object.values(SCENARIOS).find(({ metrics }) => metric in metrics);
      for (const peer of [of, to].filter(Boolean))
        assert.ok(scenario.peers.includes(peer), `${name}: ${peer}`);
    }
  });

  it('omit a round that failed or gave no number', () => {
    const samples = samplesOf('mixed', 'mixedP99', { cluster2: [10, NaN], reuseport: [20] });
    assert.strictEqual(summarize(samples).find(({ peer }) => peer === 'reuseport').ratio, 0.5);
  });

  it('keep infinity: a worker without any connection is the worst, not a missing result', () => {
    const samples = samplesOf('fairness', 'fairness', { cluster2: [1, 1], pm2: [Infinity, 2] });
    const row = summarize(samples).find(({ peer }) => peer === 'pm2');
    assert.strictEqual(row.median, Infinity);
    assert.match(markdown(resultOf(samples)), /^\| PM2 \| ∞ \(2\.00–∞\) \| 0\.25 \|/m);
    assert.strictEqual(JSON.parse(toJson({ samples })).samples[2].values.fairness, 'Infinity');
  });

  it('become tables, which list each problem once', () => {
    const problem = { scenario: 'one-shot', peer: 'cluster2', text: 'it rains' };
    const report = markdown(
      resultOf(SAMPLES, [
        { ...problem, round: 1 },
        { ...problem, round: 2 },
      ]),
    );
    assert.match(report, /^\| node:cluster \(default\) \| 50 \(50–80\) \| 2\.00 \|/m);
    assert.match(report, /^- cluster2-rs: it rains \(2 ×: one-shot\)$/m);
  });

  it('become a plot in which longer is better', () => {
    const svg = plot(
      resultOf([
        ...SAMPLES,
        ...samplesOf('memory', 'serverRss', { cluster2: [100], 'node-cluster': [50] }),
      ]),
    );
    assert.match(svg, />× 2\.00 {2}\(100\)<[^]*>× 0\.50 {2}\(100\.0\)</);
    assert.match(svg, /A &lt;cheap&gt; CPU/);
    assert.match(svg, /prefers-color-scheme: dark/);
  });

  it('have known peers and a label each', () => {
    for (const { peers } of Object.values(SCENARIOS))
      for (const peer of peers) assert.ok(peer in PEERS, peer);
    for (const [name, { label, better }] of Object.entries(METRICS))
      assert.ok(label && ['more', 'less'].includes(better), name);
  });

  it('compare all peers that serve, except in scenarios about some of them', () => {
    for (const name of ['one-shot', 'keep-alive', 'idle-connections', 'mixed', 'start'])
      assert.deepStrictEqual(SCENARIOS[name].peers, SERVERS, name);
    const own = ['ecv', 'upgrade', 'elastic', 'overload', 'replacement-spare', 'kills-in-turn'];
    const shared = Object.keys(SCENARIOS).filter((name) => !own.includes(name));
    for (const name of shared)
      assert.ok(SCENARIOS[name].peers.includes('node-cluster-none'), name);
  });
});

describe('a run of the benchmark', function () {
  this.timeout(60_000);
  let directory;
  beforeEach(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));
  });
  afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

  /** Runs the benchmark with its temporary files in `directory`. */
  function run(...args) {
    const child = spawn(process.execPath, [RUN, ...args], {
      env: { ...process.env, TMPDIR: directory },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const running = { child, output: '', errors: '' };
    child.stdout.on('data', (text) => (running.output += text));
    child.stderr.on('data', (text) => (running.errors += text));
    running.ended = new Promise((resolve) => child.on('close', resolve));
    return running;
  }

  it('measures each peer, writes the requested files, and leaves nothing behind', async () => {
    const file = path.join(directory, 'result.json');
    const peers = 'cluster2,node-cluster,node-cluster-none,reuseport,single,bare';
    const running = run(
      '--quick',
      '--only',
      'start,fairness,replacement',
      '--peers',
      peers,
      '--json',
      file,
    );
    const code = await within('the run ends', running.ended, 50_000);
    assert.strictEqual(code, 0, running.errors);
    const { samples } = JSON.parse(fs.readFileSync(file, 'utf8'));
    assert.deepStrictEqual(
      new Set(samples.map(({ peer }) => peer)),
      new Set(peers.split(',').slice(0, -1)),
    );
    for (const { values } of samples)
      for (const value of Object.values(values)) assert.ok(value > 0);
    assert.match(running.output, /^## start: /m);
    assert.deepStrictEqual(fs.readdirSync(directory), ['result.json']);
  });

  it('counts the requests that an exception costs', async () => {
    const file = path.join(directory, 'result.json');
    const running = run('--quick', '--only', 'crash', '--peers', 'node-cluster', '--json', file);
    const code = await within('the run ends', running.ended, 50_000);
    assert.strictEqual(code, 0, running.errors);
    const [{ values }] = JSON.parse(fs.readFileSync(file, 'utf8')).samples;
    // Half of the 64 clients had their connection with the worker that died.
    const { crashEnded, crashLost, crashRefused } = values;
    assert.ok(crashEnded + crashLost >= 24, running.errors);
    assert.strictEqual(crashRefused, 0);
  });

  it('ends on Ctrl-C, and leaves nothing behind', async () => {
    const running = run('--only', 'mixed', '--peers', 'cluster2');
    await until(
      'the peer runs',
      () => fs.readdirSync(directory, { recursive: true }).some((name) => name.endsWith('.pid')),
      20_000,
    );
    const pids = fs
      .readdirSync(directory, { recursive: true })
      .map((name) => /(\d+)\.pid$/.exec(name)?.[1])
      .filter(Boolean);
    running.child.kill('SIGINT');
    assert.strictEqual(await within('the run ends', running.ended, 20_000), 130);
    assert.deepStrictEqual(fs.readdirSync(directory), []);
    // SIGKILL was sent; it takes effect a moment later.
    await until('the peer is gone', () => pids.every((pid) => !isAlive(Number(pid))));
  });

  for (const [wrong, message] of [
    [['--only', 'rain'], /--only: unknown "rain"/],
    [['--rounds', '0'], /--rounds: expected a whole number/],
    [['--json', '/nowhere/at/all.json'], /--json: cannot write/],
    [['--svg', 'plot.svg', '--peers', 'cluster2'], /--svg: the plot needs the peer node-cluster/],
    [['--only', 'ecv', '--peers', 'single'], /none of these peers/],
  ]) {
    it(`refuses ${wrong.join(' ')}`, async () => {
      const running = run(...wrong);
      assert.strictEqual(await within('the run ends', running.ended), 1);
      assert.match(running.errors, message);
    });
  }
});
