'use strict';

// The option `retry`: requests that this worker has taken and not begun to answer when it ends by a
// JavaScript error or `process.exit()` go to other workers, each with its connection. What always
// holds:
// - nothing of their answers has left this process, and nothing else was read of their connections;
// - a request that is known to have ended its worker ends at most one more; so does each, where
//   nobody knows which one has;
// - no request goes to a fourth worker.

const { AsyncLocalStorage } = require('node:async_hooks');
const diagnostics = require('node:diagnostics_channel');
const { Http1State } = require('../http/http1-state');
const { unansweredPast, withDeaths } = require('../http/moved-connection');
const { headOf, nameOf } = require('../http/request-head');
const { idleAmong, serverOf } = require('../node-internals');

/** How many workers may end with a request before none gets it again. */
const MOST = { guilty: 1, innocent: 2 };
/** How many requests a warning names. */
const NAMED = 10;

class Retry {
  #traffic;
  /** In each asynchronous context: the request from which it comes. */
  #origins = new AsyncLocalStorage();

  /** @param {Traffic} traffic the connections of this worker */
  constructor(traffic) {
    this.#traffic = traffic;
    diagnostics.subscribe('http.server.request.start', (started) => this.#begin(started));
  }

  #begin({ request: { method, url }, socket }) {
    const state = this.#traffic.stateOf(socket);
    if (state === undefined) return;
    const { bytesRead, bytesWritten } = socket;
    const begun = {
      state, method, url, bytesWritten, bytesRead,
      /** Its own bytes, if nothing else came with them. */
      length: bytesRead - (state.begun?.bytesRead ?? 0),
      retries: state.retries,
    };
    state.retries = 0;
    state.begun = begun;
    this.#origins.enterWith(begun);
  }

  /**
   * Gives a server the bytes of a request that came with its connection, before any that come from
   * its client. An error of the app is then nobody else's, as where they came from the client.
   */
  feed(stream, request) {
    const state = this.#traffic.stateOf(stream);
    process.nextTick(() => {
      if (state) {
        state.request = undefined;
        this.#origins.enterWith(state);
      }
      if (!stream.destroyed) stream.push(request);
    });
  }

  /**
   * The requests that other workers can answer, now that this process ends.
   * @param {{ stream: net.Socket, state: Http1State, fd: number, listener: number }[]} busy
   *   connections with one request under way that others can have
   * @returns {{ fd: number, listener: number, past: object, request: Buffer, name: string }[]}
   */
  unanswered(busy) {
    const guilty = this.#guilty();
    const whole = idleAmong(busy.map(({ stream }) => stream));
    const all = busy.map((connection) => {
      const { stream, state, fd, listener } = connection;
      const { begun } = state;
      const most = guilty === undefined || guilty === begun ? MOST.guilty : MOST.innocent;
      if (begun === undefined || begun.retries >= most) return undefined;
      const request = bytesOf(connection, whole.has(stream));
      if (request === undefined) return undefined;
      const past = withDeaths(unansweredPast(requestsBefore(stream, state)), begun.retries + 1);
      return { fd, listener, past, request, name: nameOf(begun) };
    });
    return all.filter((one) => one !== undefined);
  }

  /** What to tell of requests that other workers got. Undefined: nothing. */
  describe(requests) {
    if (requests.length === 0) return undefined;
    const counts = new Map();
    for (const { name } of requests) counts.set(name, (counts.get(name) ?? 0) + 1);
    const shown = [...counts].slice(0, NAMED).map(([name, n]) => (n > 1 ? `${name} (${n})` : name));
    if (counts.size > NAMED) shown.push('…');
    const what = requests.length === 1 ? '1 request' : `${requests.length} requests`;
    const did = `worker ${process.pid} ended before it answered ${what}`;
    return `${did}; other workers answer instead (option retry): ${shown.join(', ')}`;
  }

  /** The request by which the process ends, if it is known and still under way. */
  #guilty() {
    const origin = this.#origins.getStore();
    const begun = origin instanceof Http1State ? origin.begun : origin;
    return begun?.state.begun === begun && begun?.state.active > 0 ? begun : undefined;
  }
}

/** The bytes of the request under way. Undefined: it has more, or its answer has begun. */
function bytesOf({ stream, state: { begun, last: response } }, isWhole) {
  if (response.headersSent || response.writableEnded) return undefined;
  if (stream.bytesWritten !== begun.bytesWritten) return undefined;
  const bytes = headOf(begun, response.req, serverOf(stream));
  if (isWhole && response.req.complete) return bytes;
  // The parser is at the end of its head, where the app has thrown.
  const isAlone = begun.length === bytes?.length && stream.bytesRead === begun.bytesRead;
  return isAlone && !response.req.complete ? bytes : undefined;
}

/** How many requests of a connection before the present one count for `maxRequestsPerSocket`. */
function requestsBefore(stream, { requests, last }) {
  const counts = serverOf(stream).maxRequestsPerSocket > 0 && last.req.httpVersion === '1.1';
  return counts ? requests - 1 : requests;
}

module.exports = { Retry };
