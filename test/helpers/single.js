'use strict';

// Clusters of a single process (`cluster: false`), this one.

const assert = require('node:assert');
const http = require('node:http');
const Cluster = require('../..');
const { request } = require('./client');
const { within } = require('./wait');

const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
/** Fails unless connections to a port are refused. */
const refused = (port) => assert.rejects(request(port), { code: 'ECONNREFUSED' });
const clusters = [];

/** A single process' cluster with this app, when it listens. */
async function start(app, options) {
  const cluster = new Cluster({ cluster: false, monPort: false, ...options });
  clusters.push(cluster);
  await within('it listens', new Promise((resolve, reject) => {
    cluster.once('error', reject).listen((callback) => callback(app), resolve);
  }));
  return cluster;
}

/** The port of a script, once it answers there. */
async function listening(script) {
  await script.until('it listens', () => request(script.port).then(() => true, () => false));
  return script.port;
}

/** An HTTP server whose requests for `/wait` are answered by calling what is in `waiting`. */
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
