'use strict';

// Makes a server of an app, of whatever framework.

const http = require('node:http');
const { ClusterTypeError } = require('../errors');
const { normalize } = require('../options');

const KNOWN =
  'a net, http, https, http2 or tls server, an Express, Connect, Koa, Fastify, Hapi or Nest app, ' +
  'or an array of { app, port }';

const isFunction = (value) => typeof value === 'function';

// An Express 2 app is an http.Server itself; Express 3 to 5 and Connect make functions.
function isServer(app) {
  const isObject = typeof app === 'object' && app !== null;
  return isObject && [app.listen, app.address, app.on].every(isFunction);
}

/**
 * Frameworks whose app has made its server itself: how it is known, its server, and what makes the
 * server serve.
 */
const OWNERS = [
  {
    is: (app) => [app.getHttpServer, app.getHttpAdapter, app.init].every(isFunction),
    serverOf: (nest) => nest.getHttpServer(),
    // Nest on Fastify leaves the last step to its own listen().
    ready: (nest) => nest.init().then(() => nest.getHttpAdapter().getInstance().ready?.()),
  },
  {
    is: (app) => [app.initialize, app.inject].every(isFunction) && typeof app.listener === 'object',
    serverOf: (hapi) => hapi.listener,
    ready: (hapi) => hapi.initialize(),
  },
  {
    is: (app) => isFunction(app.ready) && isFunction(app.inject) && typeof app.server === 'object',
    serverOf: (fastify) => fastify.server,
    ready: (fastify) => fastify.ready(),
  },
];

const ownerOf = (app) =>
  OWNERS.find(({ is, serverOf }) => app && is(app) && isServer(serverOf(app)));

/**
 * The server for one app, which is called `name` where it is none.
 * @throws {TypeError} `CLUSTER2_ERR_APP_INVALID`
 */
function toServer(app, name = 'the app') {
  if (isServer(app)) return app;
  if (ownerOf(app)) return ownerOf(app).serverOf(app);
  if (isFunction(app)) return http.createServer(app);
  const isKoa = app && isFunction(app.callback) && isFunction(app.use);
  if (isKoa) return http.createServer(app.callback());
  const got = app === null ? 'null' : Array.isArray(app) ? 'an array' : typeof app;
  throw new ClusterTypeError('CLUSTER2_ERR_APP_INVALID', `${name} must be ${KNOWN}; got ${got}`);
}

/**
 * Servers with their ports.
 * @param {*} app what the user passed to `createApp`'s callback
 * @param {Array<number|string>} ports the `port` option, for a single app
 * @returns {Array<{ server: net.Server, ports: Array<number|string>, ready?: () => Promise }>}
 *   await `ready` before the server listens
 * @throws {TypeError} `CLUSTER2_ERR_APP_INVALID`
 */
function adapt(app, ports) {
  if (!Array.isArray(app)) return [entry(app, ports)];
  if (app.length === 0) {
    const message = `the app must be ${KNOWN}; got an empty array`;
    throw new ClusterTypeError('CLUSTER2_ERR_APP_INVALID', message);
  }
  return app.map((one, index) => {
    const own = one?.app === undefined ? undefined : portsOf(one.port);
    if (!own) {
      const what = 'a number from 0 to 65535, the path of a unix socket, or a list of them';
      const message = `app[${index}] must be { app, port }, port being ${what}`;
      throw new ClusterTypeError('CLUSTER2_ERR_APP_INVALID', message);
    }
    return entry(one.app, own);
  });
}

function entry(app, ports) {
  const server = toServer(app);
  const owner = server === app ? undefined : ownerOf(app);
  return { server, ports, ready: owner && (() => owner.ready(app)) };
}

// As the option `port` is read: digits are a number. `undefined`: it is not one.
function portsOf(port) {
  try {
    return port === null || port === undefined ? undefined : normalize({ port }).ports;
  } catch {
    return undefined;
  }
}

module.exports = { adapt, toServer };
