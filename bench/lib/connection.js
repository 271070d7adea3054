'use strict';
// One connection to a peer, one request at a time. A raw socket: it must be cheap beside what it
// measures, and show each connection and each answer that does not come.

const net = require('node:net');

const GIVE_UP_MS = 8000;
const ANSWER_END = '\r\n\r\nhello';

const request = (path, last) => `GET ${path} HTTP/1.1\r\nhost: bench\r\n${last ? 'connection: close\r\n' : ''}\r\n`;

class Connection {
  #socket;
  #closed;
  #error = null;
  #answer = '';
  #pending = null;
  #open = true;

  // An answer that never comes is as lost as one cut off.
  constructor(port, giveUpMs = GIVE_UP_MS) {
    this.#socket = net.connect({ port, host: '127.0.0.1', noDelay: true }).setEncoding('latin1');
    this.#socket.setTimeout(giveUpMs, () => {
      if (this.#pending || !this.#open) this.#socket.destroy(new Error('no answer'));
    });
    this.#socket.on('data', (text) => this.#hear(text));
    this.#socket.on('error', (error) => { this.#error = error; });
    this.#socket.on('end', () => { this.#open = false; });
    this.#closed = new Promise((resolve) => this.#socket.on('close', () => resolve(this.#end())));
  }

  // Whether another request makes sense.
  get open() {
    return this.#open;
  }

  // Returns what the path asks for (see app.js), if anything. Fails if the connection ends without
  // the answer.
  ask(path, { last = false } = {}) {
    if (!this.#open) return Promise.reject(this.#error ?? new Error('the connection has ended'));
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#socket.write(request(path, last));
    });
  }

  close() {
    this.#open = false;
    this.#socket.end();
    return this.#closed;
  }

  destroy() {
    this.#socket.destroy();
  }

  #hear(text) {
    this.#answer += text;
    if (!this.#answer.endsWith(ANSWER_END)) return;
    const head = this.#answer;
    const pending = this.#pending;
    this.#answer = '';
    this.#pending = null;
    // A server that drains says so: another request on this connection would be the client's fault.
    if (/^connection: close\r$/im.test(head)) this.#open = false;
    pending?.resolve(/^x-bench: ([\d.]+)\r$/im.exec(head)?.[1]);
  }

  #end() {
    this.#open = false;
    this.#pending?.reject(this.#error ?? new Error('the connection ended without the answer'));
    this.#pending = null;
  }
}

module.exports = { Connection };
