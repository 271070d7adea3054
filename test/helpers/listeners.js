'use strict';

// Workers with further servers (fixture listener.js), which listen and close as the test orders.

const assert = require('node:assert');
const Cluster = require('../..');
const { answersOfAll, request } = require('./client');
const { Script, freePort } = require('./cluster');

/** Fails unless connections to a port are refused. */
const refused = (port, to) => assert.rejects(request(port, '/', to), { code: 'ECONNREFUSED' });

/** The running fixture, its workers' tales, and orders to them. */
class Listeners {
  static async start(env = {}) {
    const listeners = new Listeners();
    const texts = Object.entries(env).map(([name, value]) => [name, JSON.stringify(value)]);
    listeners.script = await new Script('listener.js', {
      port: await freePort(),
      env: Object.fromEntries(texts),
    }).ready();
    listeners.cluster = new Cluster({ pids: listeners.script.pids });
    listeners.pids = listeners.script.workers();
    return listeners;
  }

  /** What the workers (or one of them) told of a server, in the order of time. */
  tales(name, event, pid) {
    const all = this.script.told('message').filter(([from]) => pid === undefined || from === pid);
    return all.map(([, tale]) => tale).filter((tale) => tale.name === name && tale.event === event);
  }

  /** The last `count` of them, when there are so many. */
  async told(name, event, count = 2, pid) {
    await this.script.until(
      `${name} tells ${event}, ${count} times`,
      () => this.tales(name, event, pid).length >= count,
    );
    return this.tales(name, event, pid).slice(-2);
  }

  async all(...commands) {
    await this.cluster.broadcast(commands);
  }

  async one(pid, ...commands) {
    await this.cluster.send(pid, commands);
  }

  async ask(name, port, to) {
    const answer = JSON.parse((await request(port, '/', to)).body);
    assert.strictEqual(answer.name, name);
    return answer;
  }

  async isServedByAll(name, port, to) {
    await answersOfAll(this.pids, () => this.ask(name, port, to));
  }

  /** The workers that answer there, some times in a row. */
  async who(name, port) {
    const pids = new Set();
    for (let i = 0; i < 6; i++) pids.add((await this.ask(name, port)).pid);
    return [...pids];
  }
}

/** Another program that holds a port. */
const occupy = (port) => new Script('ports.js', { options: { port, host: '127.0.0.1' } }).ready();

module.exports = { Listeners, occupy, refused };
