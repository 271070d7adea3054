// Apps: servers of Node and apps of frameworks, with their own types.

import express from 'express';
import fastify from 'fastify';
import { NestFactory } from '@nestjs/core';
import * as http from 'node:http';
import * as http2 from 'node:http2';
import * as https from 'node:https';
import * as net from 'node:net';
import * as tls from 'node:tls';
import Koa from 'koa';
import { expect, test } from 'tstyche';
import Cluster from 'cluster2-rs';

declare const cluster: Cluster;
declare const callback: (app: Cluster.Apps, monApp?: Cluster.App) => void;

test('servers of Node are apps', () => {
  expect(callback).type.toBeCallableWith(net.createServer());
  expect(callback).type.toBeCallableWith(http.createServer());
  expect(callback).type.toBeCallableWith(https.createServer());
  expect(callback).type.toBeCallableWith(tls.createServer());
  expect(callback).type.toBeCallableWith(http2.createServer());
  expect(callback).type.toBeCallableWith(http2.createSecureServer());
});

test('apps of Express, Koa, Fastify, Hapi and Nest are apps, and so is a listener', async () => {
  expect(callback).type.toBeCallableWith(express());
  expect(callback).type.toBeCallableWith(new Koa());
  expect(callback).type.toBeCallableWith(fastify());
  // Hapi's own types want those of a package that it does not bring.
  const hapi = {
    listener: http.createServer(),
    initialize: async () => {},
    inject: async () => ({}),
  };
  expect(callback).type.toBeCallableWith(hapi);
  expect(callback).type.toBeCallableWith(await NestFactory.create(class Module {}));
  expect(callback).type.toBeCallableWith(
    (_request: http.IncomingMessage, response: http.ServerResponse) => response.end(),
  );
});

test('a list names a port for each', () => {
  expect(callback).type.toBeCallableWith([
    { app: express(), port: 3000 },
    { app: net.createServer(), port: '/run/app.sock' },
  ]);
  expect(callback).type.not.toBeCallableWith([{ app: express() }]);
  expect(callback).type.not.toBeCallableWith([express()]);
});

test('createApp calls back at once or later, with a monitor app or without', () => {
  expect(cluster.listen).type.toBeCallableWith(async (done: typeof callback) =>
    done(express(), express()),
  );
  cluster.listen(
    (done) => done(http.createServer(), new Koa()),
    (app, monApp) => {
      expect(app).type.toBe<Cluster.Apps>();
      expect(monApp).type.toBe<Cluster.App | undefined>();
    },
  );
});

test('other values are rejected', () => {
  expect(callback).type.not.toBeCallableWith({});
  expect(callback).type.not.toBeCallableWith('app.js');
  expect(cluster.listen).type.not.toBeCallableWith(http.createServer());
});
