'use strict';

// Clients of the servers under test.

const assert = require('node:assert');
const http = require('node:http');
const net = require('node:net');
const { until } = require('./wait');

const DEADLINE = 8000;

/** Options that reach a TCP port of this machine, or a unix socket by its path. */
const at = (port) => (typeof port === 'number' ? { port, host: '127.0.0.1' } : { path: port });

/**
 * Sends one request, on its own connection unless `options` name an agent.
 * @param {number|string} port a TCP port, or the path of a unix socket
 * @param {object} [options] of `http.request`; `transport` is `http` or `https`, `body` is sent
 * @returns {Promise<{ status: number, headers: object, body: string }>}
 */
function request(port, path = '/', { transport = http, body, ...options } = {}) {
  const { path: socketPath, ...to } = at(port);
  const signal = AbortSignal.timeout(DEADLINE);
  const late = (error) =>
    signal.aborted ? new Error(`no answer to ${port} ${path} within ${DEADLINE} ms`) : error;
  return new Promise((resolve, reject) => {
    const asked = transport.request(
      { ...to, socketPath, path, agent: false, signal, ...options },
      (response) => {
        const chunks = [];
        response
          .on('error', (error) => reject(late(error)))
          .on('data', (chunk) => chunks.push(chunk));
        response.on('end', () => {
          const { statusCode: status, headers } = response;
          resolve({ status, headers, body: Buffer.concat(chunks).toString() });
        });
      },
    );
    asked.on('error', (error) => reject(late(error))).end(body);
  });
}

/**
 * Repeats `question` until each of these workers has answered, for any worker may be next.
 * @param {number[]} pids
 * @param {() => Promise<{ pid: number }>} question
 * @returns all answers, after checking that each is of one of these workers
 */
async function answersOfAll(pids, question) {
  const answers = [];
  const all = () => pids.every((pid) => answers.some((answer) => answer.pid === pid));
  await until(`each of ${pids} answers`, async () => answers.push(await question()) && all());
  assert.deepStrictEqual(answers.filter(({ pid }) => !pids.includes(pid)), []);
  return answers;
}

/** A raw connection that records what it received, and how it ended. */
class Connection {
  received = '';
  error = undefined;
  ended = false;
  closed = false;
  localPort;

  /**
   * @param {number|string|object} port a TCP port, the path of a unix socket, or options of
   * `connect` of the module `via`
   */
  constructor(port) {
    this.socket = (port.via ?? net).connect(typeof port === 'object' ? port : at(port));
    this.socket.on('connect', () => (this.localPort = this.socket.localPort));
    this.socket.setEncoding('latin1').on('data', (text) => (this.received += text));
    this.socket.on('error', (error) => (this.error = error));
    this.socket.on('end', () => (this.ended = true)).on('close', () => (this.closed = true));
  }

  /** Writes `message`, then waits until `text` is received. */
  async say(message, text) {
    this.socket.write(message);
    await this.hears(text);
  }

  async hears(text) {
    const heard = () => this.received.includes(text) || this.closed;
    await until(`'${text}' is received; so far: '${this.received}' ${this.error ?? ''}`, heard);
    if (!this.received.includes(text))
      throw new Error(`closed before '${text}'; received '${this.received}' ${this.error ?? ''}`);
  }

  async isClosed(deadline) {
    await until('the connection is closed', () => this.closed, deadline);
  }
}

module.exports = { Connection, answersOfAll, request };
