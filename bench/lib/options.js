'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { PEERS, WORKERS } = require('./peer');
const { SCENARIOS } = require('./scenarios');

const HELP = `Usage: npm run bench -- [options]

  --rounds N     rounds of each scenario (default 5)
  --seconds N    length of each measured load (default 3)
  --only a,b     scenarios: ${Object.keys(SCENARIOS).join(', ')}
  --peers a,b    peers: ${Object.keys(PEERS).join(', ')}
  --json FILE    write all samples and the summary there
  --help         this text`;

const SPEC = {
  rounds: { type: 'string', default: '5' },
  seconds: { type: 'string', default: '3' },
  only: { type: 'string' },
  peers: { type: 'string' },
  json: { type: 'string' },
  help: { type: 'boolean', default: false },
};

function count(name, text) {
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
function writable(file) {
  if (file === undefined) return undefined;
  const folder = path.dirname(path.resolve(file));
  try {
    fs.accessSync(folder, fs.constants.W_OK);
  } catch {
    throw new Error(`--json: cannot write to ${folder}`);
  }
  return file;
}

function parseOptions(argv) {
  const { values } = parseArgs({ args: argv, options: SPEC });
  return {
    help: values.help,
    rounds: count('rounds', values.rounds),
    seconds: count('seconds', values.seconds),
    scenarios: choice('only', values.only, Object.keys(SCENARIOS)),
    peers: choice('peers', values.peers, Object.keys(PEERS)),
    json: writable(values.json),
    workers: WORKERS,
  };
}

module.exports = { HELP, parseOptions };
