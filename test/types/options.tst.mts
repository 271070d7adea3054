// The options: valid and invalid values.

import { expect, test } from 'tstyche';
import Cluster from 'cluster2-rs';

test('all are optional, and may be undefined or null', () => {
  expect(Cluster).type.toBeConstructableWith();
  expect(Cluster).type.toBeConstructableWith({});
  expect(Cluster).type.toBeConstructableWith({
    port: process.env['PORT'],
    noWorkers: null,
    spares: null,
    ecv: { token: process.env['TOKEN'] },
  });
});

test('all options of the manual are valid', () => {
  expect(Cluster).type.toBeConstructableWith({
    cluster: true,
    port: 3000,
    host: '0.0.0.0',
    noWorkers: 2,
    spares: '1',
    pids: 'pids',
    logs: 'logs',
    monPort: 3001,
    monHost: '127.0.0.1',
    monPath: '/',
    ecv: { path: '/ecv', monitor: '/health', control: true, timeout: 5000, allow: ['10.0.0.0/8'] },
    timeout: 30000,
    connThreshold: 1000,
    uptimeThreshold: 3600,
    memThreshold: 1e9,
    balance: 'ip-hash',
    retry: true,
    startTimeout: 1,
    shutdownTimeout: 1,
    shutdownDelay: 0,
    heartbeatInterval: 10,
    maxHeartbeatDelay: 1000,
    blockedAfter: 100,
    exec: 'app.js',
    args: ['-p', 1],
    execArgv: ['--inspect'],
    env: { NAME: 'value', LIMIT: 3 },
    cwd: '/srv',
  } as const);
});

test('ports are numbers, paths, or lists of them', () => {
  expect<Cluster.Options['port']>().type.toBeAssignableFrom<
    number | string | Array<number | string> | readonly number[]
  >();
  expect<Cluster.Options['port']>().type.not.toBeAssignableFrom<boolean>();
  expect<Cluster.Options['monPort']>().type.toBeAssignableFrom<number | string | false>();
  expect<Cluster.Options['monPort']>().type.not.toBeAssignableFrom<true>();
});

test('a validator gets the answer of the monitor URL, and may be async', () => {
  new Cluster({
    ecv: {
      validator: async (status, headers, body) => {
        expect(status).type.toBe<number | undefined>();
        expect(headers).type.toBe<Record<string, string>>();
        expect(body).type.toBe<string>();
        return true;
      },
    },
  });
});

test('misspelled options and wrong types are rejected', () => {
  expect(Cluster).type.not.toBeConstructableWith({ workers: 2 });
  expect(Cluster).type.not.toBeConstructableWith({ noWorkers: true });
  expect(Cluster).type.toBeConstructableWith({ balance: 'kernel' });
  expect(Cluster).type.not.toBeConstructableWith({ balance: 'random' });
  expect(Cluster).type.not.toBeConstructableWith({ ecv: { monitor: 1 } });
  expect(Cluster).type.not.toBeConstructableWith({ env: { NAME: true } });
});
