'use strict';

// Workers with further servers (fixture further-servers.js), which listen and close on commands of
// the test.

const assert = require('node:assert');
const Cluster = require('../..');
const { answersOfAll, request } = require('./client');
const { Script } = require('./cluster');
const { freePort } = require('./ports');

/** Checks that connections to a port are refused. */
const refused = (port, to) => assert.rejects(request(port, '/', to), { code: 'ECONNREFUSED' });

/** The running fixture, reports of its workers, and commands to them. */
class Listeners {
  static async start(env = {}) {
    const listeners = new Listeners();
    const texts = Object.entries(env).map(([name, value]) => [name, JSON.stringify(value)]);
    listeners.script = await new Script('further-servers.js', {
      port: await freePort(),
      env: Object.fromEntries(texts),
    }).ready();
    listeners.cluster = new Cluster({ pids: listeners.script.pids });
    listeners.pids = listeners.script.workers();
    return listeners;
  }

  /** The reports of all workers, or of one, about a server, oldest first. */
  reports(name, event, pid) {
    const all = this.script
      .emitted('message')
      .filter(([from]) => pid === undefined || from === pid);
    return all
      .map(([, report]) => report)
      .filter((report) => report.name === name && report.event === event);
  }

  /** Waits for `count` reports, and returns the last two. */
  async reported(name, event, count = 2, pid) {
    await this.script.until(
      `${name} reports ${event} ${count} times`,
      () => this.reports(name, event, pid).length >= count,
    );
    return this.reports(name, event, pid).slice(-2);
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

  /** The pids that answer six consecutive requests. */
  async who(name, port) {
    const pids = new Set();
    for (let i = 0; i < 6; i++) pids.add((await this.ask(name, port)).pid);
    return [...pids];
  }
}

/** Starts another program that holds a port. */
const occupyPort = (port) =>
  new Script('ports.js', { options: { port, host: '127.0.0.1' } }).ready();

module.exports = { Listeners, occupyPort, refused };
