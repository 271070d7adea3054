'use strict';
// Clients that go on asking while something happens to the workers, and count what it costs them.
// Keep-alive clients are raw sockets, so that each new connection is seen; a request counts as
// lost when it was sent and its connection ended without the answer.

const http = require('node:http');
const net = require('node:net');

const SLOW_MS = 500;
const GIVE_UP_MS = 8000;
const REQUEST = 'GET / HTTP/1.1\r\nhost: bench\r\n\r\n';
const ANSWER_END = 'hello';

class Clients {
  counts = { ok: 0, lost: 0, refused: 0, reconnects: 0, slow: 0 };
  #port;
  #stopped = false;
  #running = [];

  constructor(port) {
    this.#port = port;
  }

  start({ keepAlive = 0, oneShot = 0 }) {
    for (let i = 0; i < keepAlive; i++) this.#running.push(this.#keepAlive());
    for (let i = 0; i < oneShot; i++) this.#running.push(this.#oneShot());
    return this;
  }

  async stop() {
    this.#stopped = true;
    await Promise.all(this.#running);
    return this.counts;
  }

  async #keepAlive() {
    for (let first = true; !this.#stopped; first = false) {
      if (!first) this.counts.reconnects += 1;
      await this.#conversation();
    }
  }

  // One connection: request after request, until it ends.
  #conversation() {
    return new Promise((resolve) => {
      const socket = net.connect(this.#port, '127.0.0.1');
      // An answer that never comes is as lost as one cut off.
      socket.setTimeout(GIVE_UP_MS, () => socket.destroy(new Error('no answer')));
      let sentAt = 0;
      const ask = () => {
        if (this.#stopped) return socket.end();
        sentAt = performance.now();
        socket.write(REQUEST);
      };
      let answer = '';
      socket.setEncoding('latin1').on('connect', ask).on('data', (text) => {
        answer += text;
        if (!answer.endsWith(ANSWER_END)) return;
        this.#count(sentAt);
        answer = '';
        sentAt = 0;
        ask();
      });
      socket.on('error', (error) => this.#failed(error));
      socket.on('close', (failed) => {
        if (sentAt > 0 && !failed) this.counts.lost += 1;
        resolve();
      });
    });
  }

  async #oneShot() {
    while (!this.#stopped) {
      const sentAt = performance.now();
      await new Promise((resolve) => {
        const request = http.get({ host: '127.0.0.1', port: this.#port, agent: false }, (response) => {
          response.resume().on('end', () => this.#count(sentAt)).on('error', (error) => this.#failed(error)).on('close', resolve);
        });
        request.setTimeout(GIVE_UP_MS, () => request.destroy(new Error('no answer')));
        request.on('error', (error) => {
          this.#failed(error);
          resolve();
        });
      });
    }
  }

  #count(sentAt) {
    this.counts.ok += 1;
    if (performance.now() - sentAt > SLOW_MS) this.counts.slow += 1;
  }

  #failed({ code }) {
    this.counts[code === 'ECONNREFUSED' ? 'refused' : 'lost'] += 1;
  }
}

module.exports = { Clients };
