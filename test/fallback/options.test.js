'use strict';

// Options are the same with the addon and with its fallback: a script that runs on a laptop runs on
// a server.

const assert = require('node:assert');
const { addon, assertSame } = require('../helpers/fallback');

describe('options without the addon', () => {
  it('are accepted and refused in the same words', () => {
    const fun = { $type: 'a function' };
    const long = 'x'.repeat(100);
    const values = {
      cluster: [true, false, 'yes', 1, long, fun],
      listen: [true, false, 'no', null],
      port: [
        0, 80, '80', ' 80 ', '+80', 65536, -1, 80.5, '80.5', '', 'app.sock', '\0app', '\0', 'a\0b',
        'systemd:web', 'systemd:', [], [1, 1], [0, 0], [1, '2', 'x'], [1, {}], {}, true, fun,
      ],
      host: ['localhost', '', 1, 'a\0b'],
      noWorkers: [1, '4', 0, 1024, 1025, 1.5, { $type: 'NaN' }, [], null, 'max', 'Max'],
      maxWorkers: [1, '4', 0, 1025, 1.5, [], null, 'Max'],
      name: ['shop', '', 'a\nb', 7, null],
      spares: [0, 2, '3', 64, 65, -1, 1.5],
      pids: ['x', ''],
      logs: ['x', 1],
      output: ['inherit', 'prefix', 'files', 'file'],
      monPort: [false, true, 0, '3001', '\0x', 'systemd:x', 'mon.sock', [1]],
      monHost: ['::1', {}],
      monPath: ['/m', 'm', ''],
      ecv: [
        true, false, null, 5, 'on', [], {}, { path: '/x' }, { path: 'x' }, { foo: 1 },
        { monitor: '/health' }, { monitor: 'health' }, { monitor: '/ecv/' }, { monitor: '/ecv?x' },
        { monitor: 'http://a.example/x?y' }, { monitor: 'HTTP://a.example' }, { monitor: 'ftp://a' },
        { monitor: 'http://a:b@c/' }, { monitor: 'http://a/x@y' }, { monitor: '/a b' },
        { monitor: 'https://[::1]:8443/x' }, { monitor: 'http://' }, { monitor: 5 },
        { control: true }, { control: 'yes' }, { validator: fun }, { validator: 5 },
        { timeout: 0 }, { timeout: '10' }, { token: 'secret' }, { token: 'secret ' }, { token: '' },
        { allow: [] }, { allow: ['10.0.0.0/8', '::1', 'fd00::/8'] }, { allow: ['10.0.0.0/33'] },
        { allow: ['nobody'] }, { allow: '10.0.0.1' }, { allow: ['::1%lo'] }, { allow: ['1.2.3'] },
      ],
      overload: [
        false, null, true, 5, {}, [], { waiting: 1 }, { waiting: 0 }, { waiting: '64' }, { foo: 1 },
        { delay: 20 }, { delay: 19 }, { delay: '1s' }, { waiting: 5, delay: 100 }, { delay: null },
      ],
      timeout: [
        0, -1, 2147483647, 2147483648, '5000', 'soon', '90s', ' 1.5 S ', '2h', '0s', '0.5ms', '30d',
        '1 s s', '.5s', '1.s', '1e3s', '-1s', '5M', '5parsecs', '1constructor', '+5s', 's', [],
      ],
      connThreshold: [0, 1, 9007199254740991, -1, 9007199254740992],
      uptimeThreshold: [0, '7', '12h', '0h', '500ms', '1.5m', '0.5s'],
      memThreshold: [
        0, 300, '300M', '1.5GiB', '1 kb', '64K', '0M', '99999999G', '300MB', '1T', '10B', true,
      ],
      giveUpAfter: [0, 5, '5', -1, '5s'],
      balance: ['ip-hash', 'kernel', 'random'],
      moveIdle: [false, 0],
      retry: [true, 'yes'],
      startTimeout: [0, 1],
      minReadyTime: [0, '1'],
      shutdownTimeout: [0, 1],
      shutdownDelay: [0],
      heartbeatInterval: [9, 10],
      maxHeartbeatDelay: [999, 1000],
      blockedAfter: [0, 1, 99, 100, '1000', -1, 1.5],
      exec: ['x.js', ''],
      args: [['a', 1, ''], 'a', [{}], [], ['a\0b']],
      execArgv: [['--x'], {}],
      env: [{ A: 'b', C: 1 }, { 'A=B': '1' }, { A: {} }, [], 'A=B', { '': '1' }],
      cwd: ['/', ''],
    };
    const { ports, ...known } = JSON.parse(addon.normalizeOptions('{}'));
    const names = Object.keys({ ...known, port: ports });
    assert.deepStrictEqual(Object.keys(values).sort(), names.sort(), 'each option has values here');
    const cases = Object.entries(values).flatMap(([name, given]) =>
      given.map((value) => ({ [name]: value })));
    const others = [
      {}, [], null, 'text', fun, { nope: 1 }, { zzz: 1, aaa: 1 },
      { cluster: false, port: 'systemd:x' }, { listen: false, port: 80 },
      { noWorkers: 4, maxWorkers: 3 }, { noWorkers: 4, maxWorkers: 4 },
      { overload: { delay: 100 }, balance: 'ip-hash' },
      { overload: { delay: 100 }, balance: 'kernel' },
      { listen: false, spares: 1 },
      { listen: false, port: null }, { listen: false, minReadyTime: 30_000 },
      { listen: false, minReadyTime: 5, startTimeout: 6, cluster: false },
    ];
    // The addon knows the limits of a container, which count for workers only.
    const normalize = (one, json) => ({ ...JSON.parse(one.normalizeOptions(json)), noWorkers: 0 });
    for (const options of [...cases, ...others]) {
      const json = JSON.stringify(options);
      assertSame((one) => normalize(one, json), json);
    }
    assertSame((one) => JSON.parse(one.normalizeOptions('{"noWorkers":"4"}')).noWorkers);
  });
});
