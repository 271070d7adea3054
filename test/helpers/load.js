'use strict';

// Clients that send one request after another, and count the outcomes separately.

const assert = require('node:assert');
const http = require('node:http');
const { setImmediate: turn } = require('node:timers/promises');

/** Longer than the kernel takes to give up on a closed port. */
const DEADLINE = 8000;

const NOTHING = { ok: 0, refused: 0, reset: 0, empty: 0, timeout: 0, failed: 0 };

/**
 * Sends one request, and returns its outcome: `ok`, `refused` (no connection), `reset` (the
 * connection broke, even within the answer), `empty` (closed without an answer), `timeout`, or
 * `failed` (a status from 500).
 */
function attempt(options, deadline = DEADLINE) {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(deadline);
    const failed = (error) => resolve({ outcome: outcomeOf(error), error, socket: request.socket });
    const request = http.get(
      { host: '127.0.0.1', agent: false, ...options, signal },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk) => (body += chunk));
        response.on('error', failed);
        response.on('end', () =>
          resolve({ outcome: response.statusCode < 500 ? 'ok' : 'failed', body, response }),
        );
      },
    );
    request.on('error', failed);
  });
}

function outcomeOf(error) {
  if (error.name === 'AbortError' || error.name === 'TimeoutError') return 'timeout';
  if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') return 'refused';
  return error.message === 'socket hang up' ? 'empty' : 'reset';
}

const running = new Set();

/** Clients that send requests until they are stopped or refused. */
class Load {
  /** The number of requests by outcome. */
  counts = { ...NOTHING };
  /** When the first client was refused, in milliseconds of `performance.now()`. */
  refusedAt = Infinity;
  /** Failures, as text. */
  trouble = [];
  #port;
  #stopped = false;
  #agents = [];
  #clients;

  /**
   * @param {number} port
   * @param {Array<{ clients: number, path?: string, keepAlive?: boolean }>} kinds without
   *   `keepAlive` each request uses a new connection
   */
  constructor(port, kinds) {
    this.#port = port;
    running.add(this);
    this.#clients = kinds.flatMap((kind) =>
      Array.from({ length: kind.clients }, () => this.#client(kind)),
    );
  }

  async #client({ path = '/', keepAlive = false }) {
    const agent = keepAlive ? new http.Agent({ keepAlive: true, maxSockets: 1 }) : false;
    if (agent) this.#agents.push(agent);
    while (!this.#stopped) {
      const { outcome, error } = await attempt({ port: this.#port, path, agent });
      this.counts[outcome] += 1;
      if (outcome === 'refused') {
        this.refusedAt = Math.min(this.refusedAt, performance.now());
        return;
      }
      if (outcome === 'ok') continue;
      this.trouble.push(
        `${path} ${keepAlive ? 'keep-alive' : 'one-shot'}: ${outcome} ${error?.message}`,
      );
      // A connection that fails at once (no free port or descriptor) would otherwise starve
      // everything except promises.
      await turn();
    }
  }

  /** Lets every client finish its request. */
  async stop() {
    this.#stopped = true;
    await this.refused();
  }

  /** Waits until every client was refused, or stopped. */
  async refused() {
    await Promise.all(this.#clients);
    this.#agents.forEach((agent) => agent.destroy());
    running.delete(this);
  }

  /** The counts without those that are zero. */
  get seen() {
    return Object.fromEntries(Object.entries(this.counts).filter(([, count]) => count > 0));
  }

  /** Checks that requests had each of these outcomes, and no other. */
  assertOnly(...outcomes) {
    const message = JSON.stringify([this.seen, this.trouble.slice(0, 10)]);
    assert.deepStrictEqual(Object.keys(this.seen), outcomes, message);
  }
}

/** Stops all load that a failed test left running. */
const stopAll = () => Promise.all([...running].map((load) => load.stop()));

module.exports = { Load, attempt, stopAll };
