'use strict';

// Clients of one protocol each that send requests until a test stops them, and record each wrong
// answer. A client is `{ ask, end }`: `ask()` sends one request and resolves to its answer, `end()`
// closes its connection.

const http = require('node:http');
const https = require('node:https');
const { once } = require('node:events');
const { io } = require('socket.io-client');
const WebSocket = require('ws');
const { Connection, request } = require('./client');
const { Http2Client } = require('./http2');
const { within } = require('./wait');

const nothing = () => {};

/** HTTP/1: some clients use one connection, others a new one for each request. */
const overHttp = (transport) => (port, index, options) => {
  const agent = index % 2 ? new transport.Agent({ keepAlive: true, maxSockets: 1 }) : false;
  const ask = async () => {
    const { status, body } = await request(port, '/', { transport, agent, ...options });
    return status === 200 ? body : `${status} ${body}`;
  };
  return { ask, end: () => agent && agent.destroy() };
};

function overHttp2(port, _index, { ca }) {
  const client = new Http2Client(`https://127.0.0.1:${port}`, { ca });
  return { ask: () => client.get('/'), end: () => client.close() };
}

/** Each request uses a new connection. */
function overTcp(port) {
  const ask = async () => {
    const connection = new Connection(port);
    await connection.say('and you', 'and you');
    connection.socket.end();
    await connection.isClosed();
    return connection.received;
  };
  return { ask, end: nothing };
}

/** Connects again when the server goes away. */
function overWebSocket(port) {
  let socket;
  let hear = nothing;
  const connect = async () => {
    socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    socket.on('message', (data) => hear(String(data))).on('close', (code) => hear(code));
    await once(socket, 'open');
  };
  const ask = async () => {
    if (socket?.readyState !== WebSocket.OPEN) await connect();
    const heard = new Promise((resolve) => (hear = resolve));
    socket.send('hello');
    const answer = await heard;
    // RFC 6455, 7.4.1: going away. Ask again if there was no answer.
    return answer === 1001 ? ask() : answer;
  };
  return { ask, end: () => socket?.close() };
}

/** Long polling and WebSocket. Each client has its own address. */
function overSocketIo(port, index) {
  const agent = new http.Agent({ keepAlive: true, localAddress: `127.0.0.${index + 1}` });
  const transports = [['polling'], ['websocket'], ['polling', 'websocket']][index % 3];
  const socket = io(`http://127.0.0.1:${port}`, {
    agent,
    transports,
    retries: 9,
    ackTimeout: 2000,
    reconnectionDelay: 20,
  });
  const client = { ask: () => socket.emitWithAck('hello', `client ${index}`), connects: 0 };
  socket.on('connect', () => (client.connects += 1));
  client.end = () => (socket.close(), agent.destroy());
  return client;
}

const PROTOCOLS = {
  http: overHttp(http),
  https: overHttp(https),
  http2: overHttp2,
  net: overTcp,
  ws: overWebSocket,
  'socket.io': overSocketIo,
};

const running = new Set();

/**
 * Clients that ask until they are stopped. Each counts how often it was `answered`, and keeps its
 * different `answers`.
 */
class Clients {
  /** Wrong answers and errors, as text. */
  troubles = [];
  #stopped = false;
  #expected;
  #running;

  /**
   * @param {keyof PROTOCOLS} protocol
   * @param {number} port
   * @param {{ count?: number, expected?: RegExp }} [options] how many clients, and the pattern of
   *   each answer; other options are for the protocol
   */
  constructor(protocol, port, { count = 6, expected = /^hello\b/, ...options } = {}) {
    this.#expected = expected;
    this.all = Array.from({ length: count }, (_, index) =>
      PROTOCOLS[protocol](port, index, options),
    );
    this.#running = this.all.map((client) => this.#run(client));
    running.add(this);
  }

  async #run(client) {
    Object.assign(client, { answered: 0, answers: new Set() });
    while (!this.#stopped) {
      try {
        const answer = await within('an answer', client.ask());
        client.answered += 1;
        client.answers.add(answer);
        if (!this.#expected.test(answer)) this.troubles.push(`answered '${answer}'`);
      } catch (error) {
        this.troubles.push(`${error.code ?? ''} ${error.message}`);
      }
    }
    await client.end();
  }

  /** Lets each client finish its request. */
  async stop() {
    this.#stopped = true;
    await Promise.all(this.#running);
    running.delete(this);
  }
}

/** Stops all clients that a failed test left running. */
const stopAll = () => Promise.all([...running].map((clients) => clients.stop()));

module.exports = { Clients, stopAll };
