'use strict';

// The probe of the monitor URI: one GET, whose answer says whether the app is healthy, as
// `src/health/probe.rs` asks. The server may be a stranger. So the time and the size of its answer
// are bounded, and redirects are not followed.

const http = require('node:http');
const { version } = require('../../package.json');

/** How much of an answer's body is read, bytes. The rest is ignored. */
const MAX_BODY = 64 * 1024;
const LOOPBACK = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** What is asked: the options of `http.request`, and its name for people. */
function targetOf(monitor, { address, port, path: socketPath, secure }) {
  const [path] = monitor.split('#');
  const [name] = path.split('?');
  if (!path.startsWith('/')) {
    const { protocol, hostname, host, port: given, pathname, search } = new URL(path);
    const options = {
      host: hostname.replace(/^\[|\]$/g, ''),
      port: given || undefined,
      path: pathname + search,
      headers: { host },
    };
    return { isSecure: protocol === 'https:', name, options };
  }
  // The app at its own address, which its certificate does not name.
  const own = { path, rejectUnauthorized: false };
  if (socketPath !== undefined) {
    const options = { ...own, socketPath, headers: { host: 'localhost' } };
    return { isSecure: secure, name, options };
  }
  const host = LOOPBACK[address] ?? address;
  const shown = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return { isSecure: secure, name, options: { ...own, host, port, headers: { host: shown } } };
}

/** Names and values of the headers, in pairs. */
const pairs = (raw) =>
  raw.flatMap((name, index) => (index % 2 ? [] : [[name.toLowerCase(), raw[index + 1]]]));

/** One exchange, until it ends or `signal` aborts it. */
function exchange({ isSecure, options }, signal) {
  // Required only where it is used: it costs a megabyte.
  const transport = isSecure ? require('node:https') : http;
  const headers = { ...options.headers, 'user-agent': `cluster2-rs/${version} (ecv)` };
  return new Promise((resolve, reject) => {
    const asked = transport.get({ ...options, headers, agent: false, signal });
    asked.on('error', reject);
    asked.on('response', (response) => {
      const chunks = [];
      let size = 0;
      const done = () => {
        const body = Buffer.concat(chunks).subarray(0, MAX_BODY).toString();
        resolve({ status: response.statusCode, headers: pairs(response.rawHeaders), body });
        asked.destroy();
      };
      response.on('data', (chunk) => {
        chunks.push(chunk);
        if ((size += chunk.length) >= MAX_BODY) done();
      });
      response.on('end', done);
      // A part of an answer is useless.
      response.on('error', reject);
      response.on('aborted', () => reject(new Error('the answer was cut')));
    });
  });
}

class Probe {
  #target;
  #timeout;

  /**
   * @param {string} monitor the option `ecv.monitor`: a URL, or a path on the app
   * @param {object} endpoint where the app listens
   * @param {number} timeout milliseconds, for all of it
   */
  constructor(monitor, endpoint, timeout) {
    this.#target = targetOf(monitor, endpoint);
    this.#timeout = timeout;
  }

  /** Any status but 2xx is a problem too. */
  async run() {
    const what = `the monitor URI ${this.#target.name}`;
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), this.#timeout);
    try {
      const answered = await exchange(this.#target, limit.signal);
      const isWell = answered.status >= 200 && answered.status < 300;
      const problem = `the monitor URI answered with status ${answered.status}`;
      return isWell ? { answered } : { problem };
    } catch (error) {
      if (limit.signal.aborted) {
        return { problem: `${what} did not answer within ${this.#timeout} ms` };
      }
      return { problem: `${what} cannot be asked: ${error.message || error.code}` };
    } finally {
      clearTimeout(timer);
    }
  }
}

/** As `NativeMonitorUri` of the addon. */
class MonitorUri {
  #probe;

  /**
   * @param {string} config the option `ecv`, as JSON
   * @param {string} endpoint where the app listens, as JSON
   */
  constructor(config, endpoint) {
    const { monitor, timeout } = JSON.parse(config);
    this.#probe = monitor === null ? null : new Probe(monitor, JSON.parse(endpoint), timeout);
  }

  /** As JSON: `{"problem"}`, or `{"answered": {"status", "headers", "body"} | null}`. */
  async probe() {
    return JSON.stringify(this.#probe ? await this.#probe.run() : { answered: null });
  }
}

module.exports = { MonitorUri };
