'use strict';

// The options of `new Cluster(options)`, checked and with their defaults, as `Config::from_json` of
// `src/config/options.rs` does.

const os = require('node:os');
const { failure } = require('./errors');
const values = require('./values');

const { INHERITED, isObject, isText, show } = values;
/** The longest duration that a Node timer takes, milliseconds. */
const MAX_DURATION = 0x7fffffff;
const MAX_WORKERS = 1024;
const MAX_SPARES = 64;
const PORT = 'a port (0 to 65535), the path of a unix socket';

const invalid = (name, expected, got) =>
  failure('CLUSTER2_ERR_OPTION_INVALID', `option '${name}' must be ${expected}; got ${got}`);

/** A kind of value: what it is in words, and how it is read. `undefined`: it is not one. */
const kind = (expected, read) => ({ expected, read });
/** A kind that the check `is` accepts as it is. */
const checked = (expected, is) => kind(expected, (value) => (is(value) ? value : undefined));
const all = (list, read) => {
  const found = Array.isArray(list) ? list.map(read) : [undefined];
  return found.includes(undefined) ? undefined : found;
};

const number = (min, max) =>
  kind(`a whole number from ${min} to ${max}`, (value) => {
    const found = values.whole(value);
    return found >= min && found <= max ? found : undefined;
  });
const quantity = (base, min, max) => {
  const how = values.QUANTITIES[base];
  return kind(`a whole number from ${min} to ${max} (${base}), or ${how.example}`, (value) => {
    const found = values.quantity(value, how);
    return found >= min && found <= max ? found : undefined;
  });
};
const duration = (min) => quantity('milliseconds', min, MAX_DURATION);
/** From 1; 0 stands for none. */
const orNone = (of) => ({ ...of, finish: (value) => (value === 0 ? null : value) });
const threshold = orNone(number(0, Number.MAX_SAFE_INTEGER));
const age = orNone(quantity('seconds', 0, Number.MAX_SAFE_INTEGER));
const size = orNone(quantity('bytes', 0, Number.MAX_SAFE_INTEGER));
const boolean = checked('true or false', (value) => typeof value === 'boolean');
const text = checked('a text that is not empty', isText);
const line = checked('a text in one line, not empty', (value) =>
  isText(value) && !/\p{Cc}/u.test(value));
const urlPath = checked("a path that begins with '/'", (value) =>
  isText(value) && value.startsWith('/'));
const oneOf = (...choices) =>
  checked(`one of ${choices.map((choice) => `'${choice}'`).join(', ')}`, (value) =>
    choices.includes(value));
/** `kernel` is another word for the default. */
const balance = {
  ...oneOf('least-connections', 'round-robin', 'ip-hash', 'kernel'),
  finish: (value) => (value === 'kernel' ? 'least-connections' : value),
};
const texts = kind('a list of texts', (value) => all(value, values.argument));

const ports = {
  expected: `${PORT}, or a list of them`,
  read: (value) => all(Array.isArray(value) ? value : [value], values.port),
  check(list) {
    if (list.length === 0) return this.expected;
    // Port 0 may be repeated: each is another port.
    const fixed = list.filter((port) => port !== 0);
    return new Set(fixed).size < fixed.length ? 'a list without repetition' : undefined;
  },
};
const portOrOff = kind(`${PORT}, or false to turn it off`, (value) => {
  if (value === false) return null;
  return values.isForApp(value) ? undefined : values.port(value);
});

const variables = kind('an object of texts, one for each variable', (value) => {
  if (!isObject(value)) return undefined;
  const isName = (name) => isText(name) && !name.includes('=');
  const read = ([name, given]) => (isName(name) ? values.argument(given) : undefined);
  const found = all(Object.entries(value), read);
  return found && Object.fromEntries(Object.keys(value).map((name, index) => [name, found[index]]));
});

const validator = kind('a function', (value) => value?.$type === 'a function' || undefined);
const monitor = checked(
  "a path that begins with '/', or an http or https URL without a user",
  (value) => typeof value === 'string' && values.isProbeTarget(value),
);
const token = {
  ...text,
  check: (value) =>
    value.trim() !== value || /\p{Cc}/u.test(value) ? 'a text without blanks around it' : undefined,
  show: () => '"one with some"',
};
// An empty list reads as "nobody", but would allow everybody.
const networks = checked(
  "a list of addresses and CIDRs, such as '10.0.0.0/8', at least one",
  (value) =>
    Array.isArray(value) && value.length > 0 &&
    value.every((item) => typeof item === 'string' && values.isNetwork(item)),
);

const blockedAfter = {
  ...duration(0),
  check: (value) => (value > 0 && value < 100 ? '0, or 100 ms or more' : undefined),
};

const OVERLOAD = {
  waiting: [number(1, 0xffffffff), null],
  delay: [duration(20), null],
};

const parallelism = () => Math.min(os.availableParallelism?.() ?? os.cpus().length, MAX_WORKERS);

const workers = kind(`a whole number from 1 to ${MAX_WORKERS}, or 'max'`, (value) =>
  value === 'max' ? parallelism() : number(1, MAX_WORKERS).read(value));

/** Each option: its kind, and its default. */
const OPTIONS = {
  cluster: [boolean, true],
  listen: [boolean, true],
  name: [line, null],
  port: [ports, [3000]],
  host: [text, '0.0.0.0'],
  noWorkers: [workers, null],
  maxWorkers: [workers, null],
  spares: [number(0, MAX_SPARES), 0],
  pids: [text, 'pids'],
  logs: [text, 'logs'],
  output: [oneOf('inherit', 'prefix', 'files'), 'inherit'],
  monPort: [portOrOff, 3001],
  monHost: [text, '127.0.0.1'],
  monPath: [urlPath, '/'],
  timeout: [duration(0), 30_000],
  connThreshold: [threshold, null],
  uptimeThreshold: [age, null],
  memThreshold: [size, null],
  balance: [balance, 'least-connections'],
  moveIdle: [boolean, true],
  retry: [boolean, false],
  startTimeout: [duration(1), 30_000],
  giveUpAfter: [threshold, null],
  minReadyTime: [duration(0), 1_000],
  shutdownTimeout: [duration(1), 30_000],
  shutdownDelay: [duration(0), 0],
  heartbeatInterval: [duration(10), 5_000],
  maxHeartbeatDelay: [duration(1_000), 30_000],
  blockedAfter: [blockedAfter, 0],
  exec: [text, null],
  args: [texts, null],
  execArgv: [texts, null],
  env: [variables, () => ({})],
  cwd: [text, null],
};

const ECV = {
  path: [urlPath, '/ecv'],
  monitor: [monitor, null],
  control: [boolean, false],
  validator: [validator, false],
  timeout: [duration(1), 5_000],
  token: [token, null],
  allow: [networks, null],
};

/** One option. Null counts as not given. */
function readOne(name, given, [{ read, check, finish, expected, show: shown = show }, otherwise]) {
  if (given === undefined || given === null) {
    return typeof otherwise === 'function' ? otherwise() : otherwise;
  }
  const value = read(given);
  if (value === undefined) throw invalid(name, expected, show(given));
  const problem = check?.call({ expected }, value);
  if (problem) throw invalid(name, problem, shown(given));
  return finish ? finish(value) : value;
}

/** An object of options; `others` are known too, and read elsewhere. */
function read(prefix, given, table, others = []) {
  const entries = Object.entries(table);
  const found = entries.map(([name, how]) => [name, readOne(prefix + name, given[name], how)]);
  const known = [...Object.keys(table), ...others].sort();
  const unknown = Object.keys(given).sort().find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const names = known.join(', ');
    const message = `option '${prefix}${unknown}' is unknown; the options are: ${names}`;
    throw failure('CLUSTER2_ERR_OPTION_UNKNOWN', message);
  }
  return Object.fromEntries(found);
}

/** The path of a URL's path without a slash at its end. */
const bare = (path) => path.split(/[?#]/)[0].replace(/\/+$/, '');

function readEcv(given) {
  if (given === false || given === null) return null;
  const options = given === undefined || given === true ? {} : given;
  if (!isObject(options)) {
    throw invalid('ecv', 'an object, or false to turn it off', show(options));
  }
  const ecv = read('ecv.', options, ECV);
  if (ecv.monitor !== null && bare(ecv.monitor) === bare(ecv.path)) {
    const expected = 'another path than ecv.path, since the check would ask itself';
    throw invalid('ecv.monitor', expected, ecv.path);
  }
  return ecv;
}

/** Fills in the number of workers, and checks its bounds. */
function checkWorkers(config) {
  const { maxWorkers } = config;
  config.noWorkers ??= maxWorkers === null ? parallelism() : 1;
  if (maxWorkers === null || maxWorkers >= config.noWorkers) return;
  const expected = `no less than noWorkers, which is ${config.noWorkers}`;
  throw invalid('maxWorkers', expected, maxWorkers);
}

function readOverload(given) {
  if (given === undefined || given === null || given === false) return null;
  const expected = "an object with 'waiting', 'delay' or both, or false to turn it off";
  if (!isObject(given)) throw invalid('overload', expected, show(given));
  const overload = read('overload.', given, OVERLOAD);
  if (overload.waiting === null && overload.delay === null) {
    throw invalid('overload', expected, 'neither');
  }
  return overload;
}

/** Connections wait in the accept queue only where workers accept by themselves. */
function checkOverload({ overload, balance }) {
  if (overload === null || balance === 'least-connections') return;
  const expected = "left out unless 'balance' is 'least-connections'";
  throw invalid('overload', expected, "it with another 'balance'");
}

/** What workers that do not listen need. */
function checkWithoutListening({ minReadyTime, spares, startTimeout }, port) {
  if (port !== undefined && port !== null) {
    throw invalid('port', "left out where 'listen' is false", 'a port');
  }
  if (spares > 0) {
    const expected = "0 where 'listen' is false: a spare waits in its listen()";
    throw invalid('spares', expected, spares);
  }
  if (minReadyTime < startTimeout) return;
  const expected = "less than startTimeout where 'listen' is false: by then a worker is ready";
  throw invalid('minReadyTime', expected, minReadyTime);
}

/** Checks the user's options, as JSON, and fills in the defaults. Returns JSON. */
function normalizeOptions(json) {
  const given = JSON.parse(json);
  if (!isObject(given)) throw invalid('options', 'an object', show(given));
  const { port, ...others } = read('', given, OPTIONS, ['ecv', 'overload']);
  const ecv = readEcv(given.ecv);
  const config = { ...others, ports: port, ecv, overload: readOverload(given.overload) };
  checkWorkers(config);
  checkOverload(config);
  if (!config.listen) {
    checkWithoutListening(config, given.port);
    config.ports = [];
  }
  const inherited = port.find((one) => typeof one === 'string' && one.startsWith(INHERITED));
  if (inherited !== undefined && !config.cluster) {
    const expected =
      "a port or a path where 'cluster' is false: a socket that was passed is for workers";
    throw invalid('port', expected, `'${inherited}'`);
  }
  return JSON.stringify(config);
}

module.exports = { INHERITED, normalizeOptions };
