'use strict';
// From samples ({ scenario, round, peer, values }) to medians, ratios and targets.

const { PEERS } = require('./peer');
const { METRICS } = require('./scenarios');
const { TARGETS } = require('./targets');
const { median } = require('./numbers');

const SUBJECT = 'cluster2';

const HOLDS = {
  '>=': (a, b) => a >= b,
  '<=': (a, b) => a <= b,
};

const isValue = (value) => typeof value === 'number' && !Number.isNaN(value);

// The values of a metric by round, without rounds whose measurement failed. Infinity is a value.
function byRound(samples, metric, peer) {
  const own = samples.filter((sample) => sample.peer === peer && isValue(sample.values[metric]));
  return new Map(own.map((sample) => [sample.round, sample.values[metric]]));
}

const COMBINE = {
  ratio: (a, b) => a / b,
  difference: (a, b) => a - b,
};

// The median over the rounds of what `how` makes of two peers: neighbours in time are compared, so
// that a machine that gets slower in the middle of a run does not spoil it. null: nothing to
// compare.
function compare(samples, metric, peers, how) {
  const [ours, theirs] = peers.map((peer) => byRound(samples, metric, peer));
  const rounds = [...ours.keys()].filter((round) => theirs.has(round));
  const combined = rounds.map((round) => COMBINE[how](ours.get(round), theirs.get(round))).filter(Number.isFinite);
  return combined.length ? median(combined) : null;
}

function summarize(samples) {
  const rows = [];
  for (const [metric, { ratio }] of Object.entries(METRICS)) {
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
        ratio: ratio && peer !== SUBJECT ? compare(samples, metric, [SUBJECT, peer], 'ratio') : null,
      });
    }
  }
  return rows;
}

function measuredFor(samples, { metric, of, to, how }) {
  if (how !== 'value') return compare(samples, metric, [of, to], how);
  const values = [...byRound(samples, metric, of).values()];
  return values.length ? median(values) : null;
}

function judge(samples) {
  return TARGETS.map((target) => {
    const measured = measuredFor(samples, target);
    const met = measured === null ? null : HOLDS[target.sign](measured, target.bound);
    return { name: target.name, bound: `${target.sign} ${target.bound}`, measured, met };
  });
}

module.exports = { SUBJECT, compare, summarize, judge };
