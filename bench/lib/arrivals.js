'use strict';
// Requests that come at a rate of their own, one a connection, however long the answers take: as
// from many clients that know nothing of each other.

const net = require('node:net');
const { setTimeout: pause } = require('node:timers/promises');
const { Latencies } = require('./clients');

const TICK_MS = 5;
const STATUS = /^HTTP\/1\.1 (\d{3}) /;

class Arrivals {
  // `refused`: answered 503. `lost`: the connection ended without an answer, or was reset.
  counts = { served: 0, refused: 0, lost: 0 };
  latencies = new Latencies();
  #port;
  #request;
  #open = new Set();
  #counts = false;

  constructor(port, path) {
    this.#port = port;
    this.#request = `GET ${path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n`;
  }

  // What is answered in the first `warmUpSeconds` is not counted.
  async run(perSecond, seconds, warmUpSeconds) {
    const begin = performance.now();
    const until = begin + (warmUpSeconds + seconds) * 1000;
    let sent = 0;
    for (let now = begin; now < until; now = performance.now()) {
      this.#counts = now - begin >= warmUpSeconds * 1000;
      const due = ((now - begin) * perSecond) / 1000;
      for (; sent < due; sent++) this.#send();
      await pause(TICK_MS);
    }
  }

  // Returns how many have no answer yet, and gives them up.
  end() {
    const waiting = this.#open.size;
    this.#counts = false;
    for (const socket of this.#open) socket.destroy();
    return waiting;
  }

  #send() {
    const begin = performance.now();
    const socket = net.connect({ port: this.#port, host: '127.0.0.1' }).setEncoding('latin1');
    let answer = '';
    this.#open.add(socket);
    socket.write(this.#request);
    socket.on('data', (text) => (answer += text)).on('error', () => (answer = ''));
    socket.on('close', () => {
      this.#open.delete(socket);
      if (!this.#counts) return;
      const [, status] = STATUS.exec(answer) ?? [];
      const outcome = { 200: 'served', 503: 'refused' }[status] ?? 'lost';
      this.counts[outcome] += 1;
      if (outcome === 'served') this.latencies.record(performance.now() - begin);
    });
  }
}

module.exports = { Arrivals };
