'use strict';

// The command line where there is no native one for this machine: `start` runs the script by node,
// so that one `npm start` works everywhere. What always holds: the script gets what it would get in
// a worker (arguments, Node's flags, environment, directory, PORT), and one line says what is not
// there; any other command fails.

const fs = require('node:fs');
const path = require('node:path');
const { become } = require('./become');

const HOME = path.join(__dirname, '..');
const ADVICE =
  `neither in ${HOME} nor in a package cluster2-rs-linux-<arch>-<libc> beside it. There are x64 ` +
  'and arm64, gnu and musl: install with optional dependencies; elsewhere on Linux build it in a ' +
  'clone (npm ci && npm run build, needs Rust 1.88 or later)';
const FILE = 'cluster2.json';
/** Flags without a value, beside `--no-…`; a test compares with the native command line. */
const SWITCHES = ['--ecv-control', '--help', '--retry', '--version'];
/** Flags that may be given several times. */
const REPEATED = ['exec-argv', 'env'];

class Failed extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

const isSwitch = (flag) => flag.startsWith('--no-') || SWITCHES.includes(flag);

/**
 * Reads the arguments of `start`: the script as `exec`, its `args`, and the flags by their names.
 */
function parse(words) {
  const at = words.indexOf('--');
  const [own, args] = at < 0 ? [words, undefined] : [words.slice(0, at), words.slice(at + 1)];
  const given = { args };
  for (let i = 0; i < own.length; i++) {
    const [, flag, , value] = own[i].match(/^(--[^=]+)(=([^]*))?$/) ?? [];
    if (flag === undefined) {
      given.exec ??= own[i];
      continue;
    }
    if (isSwitch(flag)) continue;
    const name = flag.slice(2);
    const text = value ?? own[++i];
    if (text === undefined) throw new Failed(2, `${flag} needs a value`);
    if (REPEATED.includes(name)) (given[name] ??= []).push(text);
    else given[name] = text;
  }
  return given;
}

function readFile(named) {
  const name = named ?? FILE;
  try {
    return JSON.parse(fs.readFileSync(name, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT' && named === undefined) return {};
    throw new Failed(2, `cannot read the configuration file ${name}: ${error.message}`);
  }
}

const toPair = (text) => {
  const at = text.indexOf('=');
  if (at < 1) throw new Failed(2, `--env must be NAME=VALUE; got ${text}`);
  return [text.slice(0, at), text.slice(at + 1)];
};

/** How the script is run: flags, then variables, then the file. */
function launch(words) {
  const given = parse(words);
  const { CLUSTER2_CONFIG, CLUSTER2_CWD, CLUSTER2_NODE, CLUSTER2_PORT } = process.env;
  const file = readFile(given.config ?? CLUSTER2_CONFIG);
  const script = given.exec ?? file.exec;
  if (!script) {
    const where = 'Name it after `start`, or as `exec` in the configuration file';
    throw new Failed(2, `which script? ${where}`);
  }
  // Kubernetes sets it to a URL where a service is called cluster2.
  const variable = CLUSTER2_PORT?.startsWith('tcp://') ? undefined : CLUSTER2_PORT;
  const port = String(given.port ?? variable ?? file.port ?? '');
  const own = given.env ? Object.fromEntries(given.env.map(toPair)) : file.env;
  const { CLUSTER2_PACKAGE: _package, CLUSTER2_CALLED_AS: _path, ...env } = process.env;
  return {
    node: given.node ?? CLUSTER2_NODE ?? process.execPath,
    script,
    flags: (given['exec-argv'] ?? file.execArgv ?? []).map(String),
    args: (given.args ?? file.args ?? []).map(String),
    env: { ...env, ...(/^[1-9]\d*$/.test(port) && { PORT: port }), ...own },
    cwd: given.cwd ?? CLUSTER2_CWD ?? file.cwd,
  };
}

function start(words, reason) {
  const { node, script, flags, args, env, cwd } = launch(words);
  const [program, file] = [path.resolve(node), path.resolve(script)];
  const lacking = 'workers, health check and monitor';
  process.stderr.write(`cluster2: warning: node runs ${script} without ${lacking}: ${reason}\n`);
  if (cwd !== undefined) process.chdir(cwd);
  become(program, [...flags, file, ...args], env);
}

/** Runs a command line: the words after `cluster2`. */
function run([command, ...words]) {
  const reason = `the command line for this machine (${process.platform}-${process.arch}) is missing`;
  const isRequired = !['', '0'].includes(process.env.CLUSTER2_REQUIRE_NATIVE ?? '');
  // A missing package is a mistake of the installation; another system is not.
  const isMistake = process.platform === 'linux';
  try {
    if (command !== 'start' || isRequired) throw new Failed(255, `${reason}: ${ADVICE}`);
    start(words, isMistake ? `${reason}: ${ADVICE}` : reason);
  } catch (error) {
    process.stderr.write(`cluster2: ${error.message}\n`);
    process.exitCode = error instanceof Failed ? error.code : 255;
  }
}

module.exports = { parse, run };
