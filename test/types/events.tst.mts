// The events: every way to listen knows the arguments of listeners.

import { EventEmitter, once } from 'node:events';
import { expect, test } from 'tstyche';
import Cluster from 'cluster2-rs';

declare const cluster: Cluster;

test('every way to listen knows the arguments', () => {
  for (const way of [
    'on',
    'once',
    'addListener',
    'prependListener',
    'prependOnceListener',
  ] as const) {
    cluster[way]('died', (pid, death) => {
      expect(pid).type.toBe<number>();
      expect(death).type.toBe<Cluster.Death>();
    });
  }
  const listener = (pid: number) => void pid;
  expect(cluster.off('forked', listener)).type.toBe<Cluster>();
  expect(cluster.removeListener('forked', listener)).type.toBe<Cluster>();
  expect(cluster.on).type.not.toBeCallableWith('forked', (name: string) => void name);
});

test('emit knows them too', () => {
  expect(cluster.emit).type.toBeCallableWith('listening', 1);
  expect(cluster.emit).type.toBeCallableWith('enable');
  expect(cluster.emit).type.not.toBeCallableWith('listening', 'one');
  expect(cluster.emit).type.not.toBeCallableWith('died', 1);
});

test('an unknown event is rejected', () => {
  expect(cluster.on).type.not.toBeCallableWith('dyed', (pid: number) => void pid);
  expect(cluster.emit).type.not.toBeCallableWith('dyed', 1);
});

test('each event has its arguments', () => {
  expect<Cluster.Events['forked']>().type.toBe<[pid: number]>();
  expect<Cluster.Events['listening']>().type.toBe<[pid: number]>();
  expect<Cluster.Events['SIGTERM']>().type.toBe<
    [info: { pid: number; type: 'master' | 'worker' }]
  >();
  expect<Cluster.Events['unresponsive']>().type.toBe<
    [pid: number, silence: { age: number } & Cluster.Execution]
  >();
  expect<Cluster.Events['message']>().type.toBe<[pid: number, message: any]>();
  expect<Cluster.Events['disable']>().type.toBe<[cause: { reason: string; pid?: number }]>();
  expect<Cluster.Events['enable']>().type.toBe<[]>();
  expect<Cluster.Events['heartbeat']>().type.toBe<[stats: Cluster.Status | Cluster.WorkerStats]>();
  expect<Cluster.Events['error'][0]['code']>().type.toBeAssignableFrom<
    Cluster.ErrorCode | 'EADDRINUSE' | undefined
  >();
});

test('it is an EventEmitter', () => {
  expect(cluster).type.toBeAssignableTo<EventEmitter>();
  expect(cluster.listenerCount('died')).type.toBe<number>();
  expect(once).type.toBeCallableWith(cluster, 'reload');
});
