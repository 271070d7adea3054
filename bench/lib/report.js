'use strict';
// The Markdown that a run prints.

const { PEERS } = require('./peer');
const { SUBJECT } = require('./stats');
const { SCENARIOS, METRICS, roundsOf, workersIn } = require('./scenarios');

const NOTHING = '–';
const ARROWS = { more: '↑', less: '↓' };

function number(value, digits) {
  if (value === null || Number.isNaN(value)) return NOTHING;
  if (value === Infinity) return '∞';
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function table(head, rows) {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

// The median, with the spread where there is one, and how cluster2-rs is beside it.
function cells(row, { digits, ratio }) {
  if (!row) return ratio ? [NOTHING, ''] : [NOTHING];
  const [median, min, max] = [row.median, row.min, row.max].map((value) => number(value, digits));
  const value = min === max ? median : `${median} (${min}–${max})`;
  if (!ratio) return [value];
  return [value, row.peer === SUBJECT ? '' : number(row.ratio, 2)];
}

// One row for each peer, one column for each metric, and one for its ratio.
function scenarioTable(name, summary) {
  const metrics = Object.entries(SCENARIOS[name].metrics);
  const rowOf = (metric, peer) => summary.find((row) => row.metric === metric && row.peer === peer);
  const peers = Object.keys(PEERS).filter((peer) => metrics.some(([metric]) => rowOf(metric, peer)));
  const head = metrics.flatMap(([, { label, better, ratio }]) => [`${label} ${ARROWS[better]}`, ...(ratio ? ['÷'] : [])]);
  const rows = peers.map((peer) => [PEERS[peer].label, ...metrics.flatMap(([metric, how]) => cells(rowOf(metric, peer), how))]);
  return rows.length > 0 ? [`## ${name}: ${SCENARIOS[name].title}`, table(['peer', ...head], rows)] : [];
}

const VERDICTS = new Map([[true, 'yes'], [false, '**no**'], [null, 'not measured']]);

function targetRow({ name, bound, measured, met }) {
  return [name, bound.replace('>=', '≥').replace('<=', '≤'), number(measured, 2), VERDICTS.get(met)];
}

const describeVersions = ({ cluster2, node, wrk, pm2, watt, wattNode, nginx }) => [
  `cluster2-rs ${cluster2}`,
  `Node ${node.slice(1)}`,
  wrk && `wrk ${wrk}`,
  pm2 && `PM2 ${pm2}`,
  watt && `Watt ${watt} (on Node ${wattNode.slice(1)})`,
  nginx && `nginx ${nginx}`,
].filter(Boolean).join(', ');

const describeMachine = ({ cores, cpu, memoryGb, kernel }) => `${cores} cores, ${cpu}, ${memoryGb} GB memory, Linux ${kernel}`;

const unique = (values) => [...new Set(values)];

function describeRounds(options) {
  const rounds = unique(options.scenarios.map((scenario) => roundsOf(scenario, options))).join(' or ');
  return `${rounds} ${rounds === '1' ? 'round' : 'rounds'}, loads of ${options.seconds} s`;
}

function facts({ date, machine, versions, options }) {
  const workers = unique(options.scenarios.map(workersIn)).join(' or ');
  return [
    `- date: ${date}`,
    `- machine: ${describeMachine(machine)}`,
    `- versions: ${describeVersions(versions)}`,
    `- workers: ${workers}, ${describeRounds(options)}; the load generator runs on the same machine: read the ratios`,
    '- each value is a median, with the least and the greatest in parentheses; ↑ more is better, ↓ less is better; ÷ is cluster2-rs ÷ this peer',
  ].join('\n');
}

// Reports the same problem of several rounds once.
function problemLines(problems) {
  const places = new Map();
  for (const { scenario, peer, text } of problems) {
    const key = `${PEERS[peer].label}: ${text}`;
    places.set(key, [...(places.get(key) ?? []), scenario]);
  }
  return [...places].map(([key, scenarios]) => `- ${key} (${scenarios.length} ×: ${unique(scenarios).join(', ')})`);
}

function markdown(result) {
  const parts = ['# cluster2-rs benchmark', facts(result)];
  for (const name of result.options.scenarios) parts.push(...scenarioTable(name, result.summary));
  const targets = result.targets.filter(({ measured }) => measured !== null);
  if (targets.length) parts.push('## Targets', table(['target', 'bound', 'measured', 'met'], targets.map(targetRow)));
  if (result.problems.length) parts.push('## Problems', problemLines(result.problems).join('\n'));
  return parts.join('\n\n');
}

// JSON has no infinity, and its `null` would make the worst result look like a missing one.
const infinityAsText = (_, value) => (value === Infinity ? 'Infinity' : value);

const toJson = (result) => `${JSON.stringify(result, infinityAsText, 2)}\n`;

const describe = (values) => Object.entries(values)
  .filter(([name]) => name in METRICS)
  .map(([name, value]) => `${name} ${number(value, METRICS[name].digits)}`)
  .join(', ');

module.exports = {
  markdown,
  toJson,
  describe,
  number,
  describeMachine,
  describeRounds,
  describeVersions,
};
