'use strict';

// Options of the JavaScript API: the error for an invalid option names it, the expected value and
// the given one. Nothing is started.

const assert = require('node:assert');
const Cluster = require('../..');

const UNKNOWN = 'CLUSTER2_ERR_OPTION_UNKNOWN';
const INVALID = 'CLUSTER2_ERR_OPTION_INVALID';

const refuses = (options, code, ...words) => {
  assert.throws(
    () => new Cluster(options),
    (error) => {
      assert.ok(error instanceof TypeError);
      assert.strictEqual(error.code, code, error.message);
      for (const word of words)
        assert.ok(error.message.includes(word), `'${error.message}' does not say '${word}'`);
      return true;
    },
  );
};

const circular = {};
circular.self = circular;

/** Values of every kind, and how an error message shows them. */
const KINDS = [
  [() => {}, 'a function'],
  [class {}, 'a function'],
  [5n, 'a bigint'],
  [Symbol('s'), 'a symbol'],
  [NaN, 'NaN'],
  [Infinity, 'Infinity'],
  [-Infinity, '-Infinity'],
  [{ a: 1 }, '{"a":1}'],
  [[[]], '[[]]'],
];

/** Valid ports, as numbers and as a string. */
const PORTS = [0, 1, '3000'];
/** Each option, and the expected value in its error message. */
const OPTIONS = {
  cluster: 'true or false',
  listen: 'true or false',
  port: 'a port (0 to 65535), the path of a unix socket, or a list of them',
  host: 'a text',
  noWorkers: "a whole number from 1 to 1024, or 'max'",
  maxWorkers: "a whole number from 1 to 1024, or 'max'",
  pids: 'a text',
  logs: 'a text',
  output: "one of 'inherit', 'prefix', 'files'",
  monPort: 'or false to turn it off',
  monHost: 'a text',
  monPath: "a path that begins with '/'",
  timeout: "a whole number from 0 to 2147483647 (milliseconds), or a time such as '90s'",
  connThreshold: 'a whole number from 0',
  uptimeThreshold: "(seconds), or a time such as '12h'",
  memThreshold: "(bytes), or a size such as '300M'",
  giveUpAfter: 'a whole number from 0',
  balance: "one of 'least-connections', 'round-robin', 'ip-hash', 'kernel'",
  retry: 'true or false',
  startTimeout: 'a whole number from 1',
  shutdownTimeout: 'a whole number from 1',
  heartbeatInterval: 'a whole number from 10',
  maxHeartbeatDelay: 'a whole number from 1000',
  blockedAfter: 'a whole number from 0',
  exec: 'a text',
  args: 'a list of texts',
  execArgv: 'a list of texts',
  cwd: 'a text',
};
const ECV = {
  path: "a path that begins with '/'",
  monitor: "a path that begins with '/', or an http or https URL without a user",
  control: 'true or false',
  timeout: 'a whole number from 1',
  token: 'a text',
  allow: 'a list of addresses and CIDRs',
};

describe('an option of the wrong type: the error names it, the type and the value', () => {
  for (const [name, expected] of Object.entries(OPTIONS)) {
    it(name, () => {
      for (const [value, shown] of KINDS)
        refuses({ [name]: value }, INVALID, `'${name}' must be`, expected, `got ${shown}`);
    });
  }

  for (const [name, expected] of Object.entries(ECV)) {
    it(`ecv.${name}`, () => {
      for (const [value, shown] of KINDS) {
        refuses(
          { ecv: { [name]: value } },
          INVALID,
          `'ecv.${name}' must be`,
          expected,
          `got ${shown}`,
        );
      }
    });
  }

  it('ecv itself', () => {
    for (const value of ['/ecv', 5, NaN, 5n, () => {}, [], Symbol('s')])
      refuses({ ecv: value }, INVALID, "'ecv' must be", 'an object, or false');
  });

  it('ecv.validator', () => {
    for (const value of ['f', 5, true, {}, 5n, NaN])
      refuses({ ecv: { validator: value } }, INVALID, "'ecv.validator' must be a function");
    new Cluster({ ecv: { validator: () => true } });
    new Cluster({ ecv: { validator: async () => true } });
  });

  it('env', () => {
    for (const value of [
      'A=1',
      5,
      ['A=1'],
      { A: {} },
      { A: true },
      { A: NaN },
      { 'A=B': '1' },
      { '': '1' },
      { A: 'x\0' },
      () => {},
    ]) {
      refuses({ env: value }, INVALID, "'env' must be", 'an object of texts');
    }
    new Cluster({ env: { A: '', B: 5 } });
  });

  it('the options as a whole', () => {
    for (const value of [null, 5, 'port', true, [], () => {}, 5n, Symbol('s'), NaN])
      refuses(value, INVALID, 'must be an object');
  });

  it('circular options', () => {
    refuses({ env: circular }, INVALID);
    refuses(circular, INVALID);
  });
});

describe('an option out of its range is rejected', () => {
  const cases = [
    ['noWorkers', [0, -1, 1.5, 1025, '0', '1.5', '', 'two', '0x10', '1e3']],
    ['maxWorkers', [0, -1, 1.5, 1025, 'two']],
    [
      'port',
      [
        -1,
        65536,
        80.5,
        '65536',
        '-1',
        '80.5',
        '',
        [],
        [3000, 3000],
        [3000, '3000'],
        ['/a', '/a'],
        [NaN],
        [null],
        'systemd:',
      ],
    ],
    ['monPort', [-1, 65536, '', true, 'systemd:web']],
    ['timeout', [-1, 0.5, 2 ** 31, '-1']],
    ['startTimeout', [0, 2 ** 31]],
    ['shutdownTimeout', [0, 2 ** 31]],
    ['heartbeatInterval', [0, 9]],
    ['maxHeartbeatDelay', [0, 999]],
    ['connThreshold', [-1, 2 ** 53]],
    ['uptimeThreshold', [0.5, -5]],
    ['memThreshold', [-1]],
    ['balance', ['random', '', 'Round-Robin']],
    ['monPath', ['', 'relative']],
    ['pids', ['', 'a\0b']],
    ['args', ['--flag', [{}], ['a\0']]],
  ];
  it('port: a socket passed by systemd, without workers to use it', () => {
    refuses(
      { cluster: false, port: ['/tmp/a', 'systemd:web'] },
      INVALID,
      "'port' must be",
      "'cluster' is false",
      "got 'systemd:web'",
    );
    new Cluster({ port: 'systemd:web' });
  });
  for (const [name, values] of cases) {
    it(name, () =>
      values.forEach((value) => refuses({ [name]: value }, INVALID, `'${name}' must be`)),
    );
  }
});

describe('an unknown option: the error names it and the known ones', () => {
  it('at the top level', () => refuses({ prot: 3000 }, UNKNOWN, "'prot'", 'port', 'noWorkers'));
  it('within ecv', () =>
    refuses({ ecv: { pth: '/x' } }, UNKNOWN, "'ecv.pth'", 'path', 'validator'));
  it('whatever its value is', () =>
    KINDS.forEach(([value]) => refuses({ nonsense: value }, UNKNOWN, "'nonsense'")));
  it('except undefined', () => void new Cluster({ nonsense: undefined }));
  it('even if every object has a property of that name', () => {
    refuses({ ['__proto__']: 5 }, UNKNOWN, "'__proto__'");
    refuses({ constructor: 5 }, UNKNOWN, "'constructor'");
  });
});

describe('maxWorkers', () => {
  it('below noWorkers is rejected; noWorkers is 1 if only maxWorkers is given', () => {
    const expected = 'no less than noWorkers, which is 4; got 3';
    refuses({ noWorkers: 4, maxWorkers: 3 }, INVALID, "'maxWorkers'", expected);
    const { noWorkers, maxWorkers } = new Cluster({ maxWorkers: 3 }).options;
    assert.deepStrictEqual([noWorkers, maxWorkers], [1, 3]);
  });
});

describe('valid options', () => {
  it('may be omitted, undefined or null', () => {
    new Cluster();
    new Cluster(undefined);
    new Cluster({});
    for (const name of [...Object.keys(OPTIONS), 'ecv', 'env']) {
      new Cluster({ [name]: undefined });
      new Cluster({ [name]: null });
    }
  });

  it('may be numeric strings, as environment variables are', () => {
    for (const port of PORTS) new Cluster({ port, monPort: port });
    const numbers = [
      'noWorkers',
      'timeout',
      'connThreshold',
      'uptimeThreshold',
      'memThreshold',
      'startTimeout',
      'shutdownTimeout',
    ];
    for (const name of numbers) new Cluster({ [name]: '12' });
    new Cluster({
      heartbeatInterval: '1000',
      maxHeartbeatDelay: ' 5000 ',
      ecv: { timeout: '100' },
    });
  });

  it('may be unix sockets and lists', () => {
    new Cluster({ port: '/tmp/app.sock' });
    new Cluster({ port: ['app.sock', 0, 0, '8080'] });
  });

  it('may turn features off', () => void new Cluster({ ecv: false, monPort: false, timeout: 0 }));

  it('may be properties of any object', () => {
    class Settings {
      noWorkers = 3;
    }
    new Cluster(new Settings());
    new Cluster(Object.assign(Object.create(null), { noWorkers: 3 }));
    new Cluster(Object.freeze({ ecv: Object.freeze({ control: true }) }));
  });

  it('are not modified', () => {
    const options = { port: 3000 };
    new Cluster(options);
    assert.deepStrictEqual(options, { port: 3000 });
  });
});
