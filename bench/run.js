'use strict';
// `npm run bench`: measures cluster2-rs beside its peers, in turn, and prints Markdown.

const fs = require('node:fs');
const { HELP, parseOptions } = require('./lib/options');
const { SCENARIOS, roundsOf, workersIn } = require('./lib/scenarios');
const { PEERS, withPeer } = require('./lib/peer');
const { describeMachine, describeVersions } = require('./lib/machine');
const { removeDirectories } = require('./lib/directories');
const { killAllNow } = require('./lib/processes');
const { summarize, judge } = require('./lib/stats');
const { markdown, toJson, describe } = require('./lib/report');
const { plot } = require('./lib/plot');

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

const progress = (text) => process.stderr.write(text);

// The one place that cleans up after an end of any kind except SIGKILL.
function cleanUpAtExit() {
  for (const [name, code] of Object.entries(SIGNALS)) process.on(name, () => process.exit(code));
  process.on('exit', () => {
    killAllNow();
    removeDirectories();
  });
}

// Scenario by scenario, and within it A B C, A B C, …: what is compared is close in time.
function makePlan(options) {
  const steps = [];
  for (const scenario of options.scenarios) {
    const peers = SCENARIOS[scenario].peers.filter((peer) => options.peers.includes(peer));
    const rounds = roundsOf(scenario, options);
    for (let round = 1; round <= rounds; round++) {
      for (const peer of peers) steps.push({ scenario, round, rounds, peer });
    }
  }
  if (steps.length === 0) throw new Error('none of these peers takes part in these scenarios');
  return steps;
}

// A failed measurement does not end the run: it is reported, the others go on, and the exit code is
// 1.
async function measure({ scenario, round, peer }, options, problems) {
  const onProblem = (text) => {
    problems.push({ scenario, round, peer, text });
    progress(`PROBLEM ${text}; `);
  };
  const begin = performance.now();
  try {
    const { run } = SCENARIOS[scenario];
    const values = await withPeer(peer, workersIn(scenario), async (running) => run(running, options, onProblem), onProblem);
    progress(`${describe(values)}\n`);
    return [{ scenario, round, peer, seconds: (performance.now() - begin) / 1000, values }];
  } catch (err) {
    onProblem(err.message);
    progress('no result\n');
    return [];
  }
}

async function measureAll(plan, options) {
  const samples = [];
  const problems = [];
  const seconds = plan.reduce((sum, step) => sum + SCENARIOS[step.scenario].seconds(options), 0);
  progress(`${plan.length} ${plan.length === 1 ? 'measurement' : 'measurements'}, about ${Math.ceil(seconds / 60)} min\n`);
  for (const [index, step] of plan.entries()) {
    const place = `[${String(index + 1).padStart(String(plan.length).length)}/${plan.length}]`;
    progress(`${place} ${step.scenario}, round ${step.round}/${step.rounds}, ${step.peer}: `);
    samples.push(...await measure(step, options, problems));
  }
  return { samples, problems };
}

async function main() {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) return console.log(HELP);
  const plan = makePlan(options);
  const versions = await describeVersions({
    usesWrk: plan.some(({ scenario }) => SCENARIOS[scenario].usesWrk),
    usesNginx: plan.some(({ scenario }) => SCENARIOS[scenario].usesNginx),
    usesPm2: plan.some(({ peer }) => PEERS[peer].usesPm2),
    usesWatt: plan.some(({ peer }) => PEERS[peer].usesWatt),
  });
  cleanUpAtExit();
  const where = { date: new Date().toISOString(), machine: describeMachine(), versions };
  const { samples, problems } = await measureAll(plan, options);
  const { json, svg, help: _help, ...settings } = options;
  const result = {
    ...where,
    options: settings,
    summary: summarize(samples),
    targets: judge(samples),
    problems,
    samples,
  };
  console.log(markdown(result));
  if (json) fs.writeFileSync(json, toJson(result));
  if (svg) fs.writeFileSync(svg, plot(result));
  if (problems.length) process.exitCode = 1;
}

main().catch((err) => {
  console.error(`bench: ${err.message}`);
  process.exitCode = 1;
});
