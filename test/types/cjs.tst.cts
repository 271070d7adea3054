// The exports for CommonJS modules.

import { expect, test } from 'tstyche';
import asDefault from 'cluster2-rs';
import { Cluster, ClusterError } from 'cluster2-rs';
import * as asNamespace from 'cluster2-rs';
import asRequired = require('cluster2-rs');

const { Cluster: taken, ClusterError: takenError } = asRequired;

test('the class is the module itself, its default and its member Cluster', () => {
  expect(asRequired).type.toBe<typeof asDefault>();
  expect(Cluster).type.toBe<typeof asDefault>();
  expect(taken).type.toBe<typeof asDefault>();
  expect(asNamespace.Cluster).type.toBe<typeof asDefault>();
  expect(new asRequired()).type.toBe<Cluster>();
});

test('the error class is a member', () => {
  expect(ClusterError).type.toBe<typeof asRequired.ClusterError>();
  expect(takenError).type.toBe<typeof asRequired.ClusterError>();
});

test('whether there is an addon is a member', () => {
  expect(asRequired.native).type.toBe<boolean>();
  expect(asNamespace.native).type.toBe<boolean>();
});

test('the names of types are members', () => {
  expect<asRequired.Options>().type.toBe<asDefault.Options>();
  expect<Cluster>().type.toBe<asRequired>();
});
