'use strict';
// From samples ({ scenario, round, peer, values }) to medians, ratios and targets.

const { PEERS } = require('./peer');
const { METRICS } = require('./scenarios');

const SUBJECT = 'cluster2';

const TARGETS = [
  { name: 'one request a connection, ratio to node:cluster (default)', metric: 'oneShot', to: 'node-cluster', how: 'ratio', sign: '>=', bound: 1.4 },
  { name: 'keep-alive, ratio to node:cluster (default)', metric: 'keepAlive', to: 'node-cluster', how: 'ratio', sign: '>=', bound: 0.97 },
  { name: 'fairness, busiest ÷ other worker', metric: 'fairness', how: 'value', sign: '<=', bound: 1.05 },
  { name: 'memory of the master over bare node (RSS), MB', metric: 'rss', to: 'bare', how: 'difference', sign: '<=', bound: 12 },
  { name: 'CPU of the idle master, %', metric: 'idleCpu', how: 'value', sign: '<', bound: 0.5 },
];

const HOLDS = {
  '>=': (a, b) => a >= b,
  '<=': (a, b) => a <= b,
  '<': (a, b) => a < b,
};

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// The values of a metric by round; a round whose measurement failed is not in it.
function byRound(samples, metric, peer) {
  const own = samples.filter((sample) => sample.peer === peer && metric in sample.values);
  return new Map(own.map((sample) => [sample.round, sample.values[metric]]));
}

// The median over the rounds of `combine(cluster2, other)`: neighbours in time are compared, so
// that a machine that gets slower in the middle of a run does not spoil it. null: nothing to compare.
function compare(samples, metric, other, combine) {
  const [ours, theirs] = [SUBJECT, other].map((peer) => byRound(samples, metric, peer));
  const rounds = [...ours.keys()].filter((round) => theirs.has(round));
  const combined = rounds.map((round) => combine(ours.get(round), theirs.get(round))).filter(Number.isFinite);
  return combined.length ? median(combined) : null;
}

const ratio = (a, b) => a / b;
const difference = (a, b) => a - b;

function summarize(samples) {
  const rows = [];
  for (const metric of Object.keys(METRICS)) {
    for (const peer of Object.keys(PEERS)) {
      const values = [...byRound(samples, metric, peer).values()];
      if (values.length === 0) continue;
      rows.push({
        metric,
        peer,
        rounds: values.length,
        median: median(values),
        min: Math.min(...values),
        max: Math.max(...values),
        ratio: peer === SUBJECT ? null : compare(samples, metric, peer, ratio),
      });
    }
  }
  return rows;
}

function measuredFor(samples, { metric, to, how }) {
  if (how === 'ratio') return compare(samples, metric, to, ratio);
  if (how === 'difference') return compare(samples, metric, to, difference);
  const values = [...byRound(samples, metric, SUBJECT).values()];
  return values.length ? median(values) : null;
}

function judge(samples) {
  return TARGETS.map((target) => {
    const measured = measuredFor(samples, target);
    const met = measured === null ? null : HOLDS[target.sign](measured, target.bound);
    return { name: target.name, bound: `${target.sign} ${target.bound}`, measured, met };
  });
}

module.exports = { median, summarize, judge };
