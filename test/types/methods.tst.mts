// The methods: their arguments, their results, and the codes of their errors.

import { expect, test } from 'tstyche';
import Cluster, { ClusterError } from 'cluster2-rs';

declare const cluster: Cluster;

test('they have the results of the manual', () => {
  expect(cluster.stop()).type.toBe<Promise<Cluster.Left>>();
  expect(cluster.shutdown()).type.toBe<Promise<Cluster.Left>>();
  expect(cluster.shutdown({ wait: true })).type.toBe<Promise<Cluster.Left>>();
  expect(cluster.reload()).type.toBe<Promise<{ replaced: number }>>();
  expect(cluster.scale(3)).type.toBe<Promise<Cluster.Scaled>>();
  expect(cluster.send(1, { any: 'thing' })).type.toBe<Promise<{ sent: number }>>();
  expect(cluster.broadcast(null)).type.toBe<Promise<{ sent: number }>>();
  expect(cluster.listen((callback) => callback(() => {}))).type.toBe<void>();
});

test('numeric strings are rejected', () => {
  expect(cluster.scale).type.not.toBeCallableWith('3');
  expect(cluster.send).type.not.toBeCallableWith('1', 'message');
});

test('running tells whether there is a status', async () => {
  const status = await cluster.status();
  expect(status).type.not.toHaveProperty('master');
  if (status.running) {
    expect(status.master.monitor).type.toBe<string | null>();
    expect(status.workers).type.toBe<Cluster.WorkerStatus[]>();
    expect(status.totals.exits['start-timeout']).type.toBe<number | undefined>();
    expect(status.totals.exits).type.not.toHaveProperty('boredom');
  }
});

test('the code of an error is one of the known ones', () => {
  const error = new ClusterError('CLUSTER2_ERR_NOT_RUNNING', 'words', { cause: new Error() });
  expect(error.code).type.toBe<Cluster.ErrorCode>();
  expect(error.name).type.toBe<'ClusterError'>();
  expect<Cluster.ErrorCode>().type.not.toBeAssignableFrom<string>();
  expect<Cluster.OptionError>().type.toBeAssignableTo<TypeError>();
  expect<Cluster.ArgumentError['code']>().type.toBeAssignableTo<Cluster.ErrorCode>();
});
