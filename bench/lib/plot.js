'use strict';
// The plot: how many times better or worse than one of them each peer is, a row for each metric
// that is plotted. Its scale is logarithmic, so that twice and half are as far from the line.

const { PEERS } = require('./peer');
const { SCENARIOS } = require('./scenarios');
const { SUBJECT, compare } = require('./stats');
const { number, describeMachine, describeRounds, describeVersions } = require('./report');

const REFERENCE = 'node-cluster';
const WIDTH = 820;
const MIDDLE = 444; // where the reference is
const REACH = 220; // of a bar, to each side
const NAMES_END = 212;
const VALUES_END = WIDTH - 16;
const ROW = 17;
const MOST = 8; // a bar beyond that is cut off; its number is not
const TICKS = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8];

const STYLE = `
  svg { --ground: #ffffff; --ink: #1f2328; --quiet: #59636e; --line: #d1d9e0; --ours: #c2410c; --others: #8c959f; }
  @media (prefers-color-scheme: dark) {
    svg { --ground: #0d1117; --ink: #f0f6fc; --quiet: #9198a1; --line: #3d444d; --ours: #f97316; --others: #656c76; }
  }
  text { font: 12px system-ui, sans-serif; fill: var(--ink); paint-order: stroke; stroke: var(--ground); stroke-width: 3px; }
  .title { font-size: 16px; font-weight: 600; }
  .metric { font-weight: 600; }
  .quiet { fill: var(--quiet); font-size: 11px; }
  .end { text-anchor: end; }
  .middle { text-anchor: middle; }
  .ground { fill: var(--ground); }
  .tick { stroke: var(--line); }
  .reference { stroke: var(--ink); }
  .bar { fill: var(--others); }
  .bar.${SUBJECT} { fill: var(--ours); }
  .name.${SUBJECT} { font-weight: 600; }
`;

const escape = (text) => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
const text = (x, y, classes, words) => `<text x="${x}" y="${y}" class="${classes}">${escape(words)}</text>`;
const at = (times) => MIDDLE + Math.max(-1, Math.min(1, Math.log(times) / Math.log(MOST))) * REACH;

const plottedIn = (scenario) => Object.entries(SCENARIOS[scenario].metrics).filter(([, { plot }]) => plot);
const isPlotted = (scenario) => plottedIn(scenario).length > 0;

// How many times better than the reference, for each peer that can be held beside it.
function timesBetter(result, metric, { better }) {
  return Object.keys(PEERS).filter((peer) => peer !== REFERENCE).flatMap((peer) => {
    const pair = better === 'more' ? [peer, REFERENCE] : [REFERENCE, peer];
    const times = compare(result.samples, metric, pair, 'ratio');
    return times === null || times <= 0 ? [] : [{ peer, times }];
  });
}

function bar({ peer, times }, y, value) {
  const [left, right] = [at(times), MIDDLE].sort((a, b) => a - b);
  return [
    text(NAMES_END, y + 12, `name end ${peer}`, PEERS[peer].label),
    `<rect x="${left.toFixed(1)}" y="${y + 2}" width="${Math.max(2, right - left).toFixed(1)}" height="${ROW - 5}" class="bar ${peer}"/>`,
    text(VALUES_END, y + 12, 'quiet end', `× ${number(times, 2)}  (${value})`),
  ].join('\n');
}

// The bars of one metric from `y` on, and where the next ones begin.
function metricBars(result, [metric, how], y) {
  const bars = timesBetter(result, metric, how);
  if (bars.length === 0) return { svg: '', y };
  const value = (peer) => number(result.summary.find((row) => row.metric === metric && row.peer === peer).median, how.digits);
  const svg = [
    text(16, y + 14, 'metric', how.plot),
    text(16, y + 29, 'quiet', `${how.label}; node:cluster: ${value(REFERENCE)}`),
    ...bars.map((one, index) => bar(one, y + 36 + index * ROW, value(one.peer))),
  ].join('\n');
  return { svg, y: y + 36 + bars.length * ROW + 12 };
}

function axis(top, bottom) {
  const times = (tick) => (tick < 1 ? `1/${1 / tick} ×` : `${tick} ×`);
  return TICKS.flatMap((tick) => [
    `<line x1="${at(tick)}" x2="${at(tick)}" y1="${top}" y2="${bottom}" class="${tick === 1 ? 'reference' : 'tick'}"/>`,
    text(at(tick), top - 6, 'quiet middle', tick === 1 ? 'node:cluster' : times(tick)),
  ]).join('\n');
}

function plot(result) {
  const { date, machine, versions, options } = result;
  const top = 92;
  const parts = [];
  let y = top + 4;
  for (const scenario of options.scenarios) {
    for (const metric of plottedIn(scenario)) {
      const next = metricBars(result, metric, y);
      parts.push(next.svg);
      y = next.y;
    }
  }
  const height = y + 48;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>cluster2-rs beside its peers</title>
<style>${STYLE}</style>
<rect width="${WIDTH}" height="${height}" class="ground"/>
${text(16, 28, 'title', 'cluster2-rs beside its peers: times better than node:cluster')}
${text(16, 48, 'quiet', 'To the right of the line is better, to the left worse: faster, or less time or memory. 2 workers, unless said otherwise.')}
${axis(top, y)}
${parts.join('\n')}
${text(16, y + 20, 'quiet', `${date.slice(0, 10)}; ${describeMachine(machine)}; ${describeRounds(options)}`)}
${text(16, y + 36, 'quiet', describeVersions(versions))}
</svg>
`;
}

module.exports = { REFERENCE, isPlotted, plot };
