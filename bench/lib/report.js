'use strict';
// The Markdown that a run prints.

const { PEERS } = require('./peer');
const { METRICS } = require('./scenarios');

const NOTHING = '–';

function number(value, digits) {
  if (value === null || Number.isNaN(value)) return NOTHING;
  if (value === Infinity) return '∞';
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function table(head, rows) {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function resultRow({ metric, peer, median, min, max, ratio }) {
  const { label, digits } = METRICS[metric];
  const spread = `${number(min, digits)}–${number(max, digits)}`;
  return [label, PEERS[peer].label, number(median, digits), spread, number(ratio, 2)];
}

const VERDICTS = new Map([[true, 'yes'], [false, '**no**'], [null, 'not measured']]);

function targetRow({ name, bound, measured, met }) {
  return [name, bound.replace('>=', '≥').replace('<=', '≤'), number(measured, 2), VERDICTS.get(met)];
}

function facts({ date, machine, versions, options }) {
  return [
    `- date: ${date}`,
    `- machine: ${machine.cores} cores, ${machine.cpu}, ${machine.memoryGb} GB memory, Linux ${machine.kernel}`,
    `- versions: cluster2-rs ${versions.cluster2}, Node ${versions.node}, wrk ${versions.wrk}`,
    `- workers: ${options.workers}, rounds: ${options.rounds}, seconds of each load: ${options.seconds}; the load generator runs on the same machine: read the ratios`,
  ].join('\n');
}

function markdown(result) {
  const parts = [
    '# cluster2-rs benchmark',
    facts(result),
    table(['measure', 'peer', 'median', 'min–max', 'cluster2-rs ÷ this'], result.summary.map(resultRow)),
    '## Targets',
    table(['target', 'bound', 'measured', 'met'], result.targets.map(targetRow)),
  ];
  if (result.problems.length) {
    parts.push('## Problems', result.problems.map((problem) => `- ${problem}`).join('\n'));
  }
  return parts.join('\n\n');
}

module.exports = { markdown, number };
