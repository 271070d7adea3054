'use strict';

// The health check of one app: routes, answers and switch, as `src/health` does. The class has the
// methods of `NativeHealthCheck`.

const { now } = require('../clock');
const { checkAnswer, refusal, switchAnswer } = require('./answer');
const { Guard } = require('./guard');

/** What a request is for. */
const Route = { App: 0, Check: 1, Enable: 2, Disable: 3 };

/** The shortest time between two warnings about refused requests, milliseconds. */
const WARN_EVERY = 10_000;

/** The path of a request's target, which is a whole URL if a proxy sent it. */
function pathOf(target) {
  const [path] = target.split(/[?#]/);
  const [, rest] = path.match(/^[^/]*?:\/\/(.*)$/) ?? [];
  if (rest === undefined) return path;
  const at = rest.indexOf('/');
  return at < 0 ? '/' : rest.slice(at);
}

class HealthCheck {
  #path;
  #control;
  #guard;
  #header;
  #refused = { count: 0, warnedAt: -Infinity };

  /**
   * @param {string} config the option `ecv`, as JSON
   * @param {Header} header
   */
  constructor(config, header) {
    const { path, control, ...who } = JSON.parse(config);
    this.#path = path.replace(/\/+$/, '');
    this.#control = control;
    this.#guard = new Guard(who);
    this.#header = header;
  }

  route(method, target) {
    const path = pathOf(target);
    if (!path.startsWith(this.#path)) return Route.App;
    const rest = path.slice(this.#path.length);
    const isRead = method === 'GET' || method === 'HEAD';
    if (isRead && (rest === '' || rest === '/')) return Route.Check;
    if (method !== 'POST' || !this.#control) return Route.App;
    if (rest === '/disable') return Route.Disable;
    return rest === '/enable' ? Route.Enable : Route.App;
  }

  answer(ip, port, problem) {
    const { isDisabled, since, leaving } = this.#header;
    if (isDisabled || leaving > 0) return checkAnswer('DISABLED', leaving || since, ip, port);
    return checkAnswer(problem === undefined ? 'AVAILABLE' : 'WARNING', since, ip, port);
  }

  switch(disabled, client, authorization, isFromPage) {
    const status = this.#guard.refuses(client, authorization, isFromPage);
    if (status !== null) {
      const answer = refusal(status, this.#header.since);
      return { answer, changed: false, warning: this.#warning(status, client) };
    }
    const changed = this.#header.switch(disabled);
    return { answer: switchAnswer(this.#header.since), changed };
  }

  // A flood of refused requests causes few warnings.
  #warning(status, client) {
    this.#refused.count += 1;
    const at = now();
    if (at - this.#refused.warnedAt < WARN_EVERY) return undefined;
    const { count } = this.#refused;
    this.#refused = { count: 0, warnedAt: at };
    const from = client === '' ? 'somebody who was gone' : (client ?? 'a unix socket');
    const requests = count === 1 ? '1 request' : `${count} requests`;
    const what = `refused ${requests} to switch the health check`;
    return `${what}, the last one with ${status}, from ${from}`;
  }
}

module.exports = { HealthCheck, Route };
