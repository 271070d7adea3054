'use strict';

// Clusters of a single process (`cluster: false`): this one.

const assert = require('node:assert');
const http = require('node:http');
const Cluster = require('../..');
const { request } = require('./client');
const { within } = require('./wait');

const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
/** Checks that connections to a port are refused. */
const refused = (port) => assert.rejects(request(port), { code: 'ECONNREFUSED' });
const clusters = [];

/** Starts a cluster of this process with this app, and waits until it listens. */
async function start(app, options) {
  const cluster = new Cluster({ cluster: false, monPort: false, ...options });
  clusters.push(cluster);
  await within('it listens', new Promise((resolve, reject) => {
    cluster.once('error', reject).listen((callback) => callback(app), resolve);
  }));
  return cluster;
}

/** Waits until a script answers, and returns its port. */
async function listening(script) {
  await script.until('it listens', () => request(script.port).then(() => true, () => false));
  return script.port;
}

/**
 * An HTTP server that answers requests for `/wait` when the test calls the functions in `waiting`.
 */
function patient() {
  const waiting = [];
  const server = http.createServer((asked, response) => {
    if (asked.url === '/wait') waiting.push(() => response.end('waited'));
    else response.end('hello');
  });
  return { server, waiting };
}

/** Stops all clusters that were started here. */
const stopAll = () => Promise.all(clusters.splice(0).map((cluster) => cluster.stop()));

module.exports = { GET, clusters, listening, patient, refused, start, stopAll };
