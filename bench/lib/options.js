'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { PEERS } = require('./peer');
const { SCENARIOS, ROUNDS, FEWER_ROUNDS } = require('./scenarios');
const { REFERENCE, isPlotted } = require('./plot');

const DEFAULTS = { seconds: 3, warmUpSeconds: 6, idleSeconds: 10 };
const QUICK = { rounds: 1, seconds: 1, warmUpSeconds: 1, idleSeconds: 3 };

const HELP = `Usage: npm run bench -- [options]

  --rounds N     rounds of each scenario (default ${ROUNDS}, ${FEWER_ROUNDS} of what takes long)
  --seconds N    length of each measured load (default ${DEFAULTS.seconds})
  --quick        ${QUICK.rounds} round, loads of ${QUICK.seconds} s: shows that all works, says little about speed
  --only a,b     scenarios: ${Object.keys(SCENARIOS).join(', ')}
  --peers a,b    peers: ${Object.keys(PEERS).join(', ')}
  --json FILE    write all samples and the summary there
  --svg FILE     write a plot of the ratios there
  --help         this text`;

const SPEC = {
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  quick: { type: 'boolean', default: false },
  only: { type: 'string' },
  peers: { type: 'string' },
  json: { type: 'string' },
  svg: { type: 'string' },
  help: { type: 'boolean', default: false },
};

function count(name, text, otherwise) {
  if (text === undefined) return otherwise;
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new Error(`--${name}: expected a whole number from 1 to 9999, got "${text}"`);
  return Number(text);
}

function choice(name, text, known) {
  if (text === undefined) return known;
  const chosen = text.split(',');
  const unknown = chosen.find((one) => !known.includes(one));
  if (unknown !== undefined) throw new Error(`--${name}: unknown "${unknown}", expected some of ${known.join(', ')}`);
  return known.filter((one) => chosen.includes(one));
}

// Looked at before the run, not minutes later when it has something to write.
function writable(name, file) {
  if (file === undefined) return undefined;
  const folder = path.dirname(path.resolve(file));
  try {
    fs.accessSync(folder, fs.constants.W_OK);
  } catch {
    throw new Error(`--${name}: cannot write to ${folder}`);
  }
  return file;
}

function parseOptions(argv) {
  const { values } = parseArgs({ args: argv, options: SPEC });
  const known = Object.keys(SCENARIOS);
  const otherwise = values.quick ? QUICK : DEFAULTS;
  const options = {
    help: values.help,
    rounds: count('rounds', values.rounds, otherwise.rounds),
    seconds: count('seconds', values.seconds, otherwise.seconds),
    warmUpSeconds: otherwise.warmUpSeconds,
    idleSeconds: otherwise.idleSeconds,
    scenarios: choice('only', values.only, known),
    peers: choice('peers', values.peers, Object.keys(PEERS)),
    json: writable('json', values.json),
    svg: writable('svg', values.svg),
  };
  if (options.svg && !(options.peers.includes(REFERENCE) && options.scenarios.some(isPlotted))) {
    throw new Error(`--svg: the plot needs the peer ${REFERENCE} and some of the scenarios ${known.filter(isPlotted).join(', ')}`);
  }
  return options;
}

module.exports = { HELP, parseOptions };
