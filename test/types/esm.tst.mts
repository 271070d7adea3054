// The exports for ES modules.

import { expect, test } from 'tstyche';
import asDefault from 'cluster2-rs';
import { Cluster, ClusterError, native } from 'cluster2-rs';
import type { Options, Status } from 'cluster2-rs';

test('the class is the default and the member Cluster', () => {
  expect(Cluster).type.toBe<typeof asDefault>();
  expect(new asDefault()).type.toBe<Cluster>();
});

test('the error class is a member', () => {
  expect(new ClusterError('CLUSTER2_ERR_SYSTEM', 'words')).type.toBeAssignableTo<Error>();
});

test('whether there is an addon is a member', () => {
  expect(native).type.toBe<boolean>();
});

test('the names of types are members', () => {
  expect<Options>().type.toBe<asDefault.Options>();
  expect<Status>().type.toBe<asDefault.Status>();
});

test('import() has all exports', async () => {
  const imported = await import('cluster2-rs');
  expect(imported.default).type.toBe<typeof asDefault>();
  expect(imported.ClusterError).type.toBe<typeof ClusterError>();
});
