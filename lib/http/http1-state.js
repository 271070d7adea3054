'use strict';

// The state of one HTTP/1 connection of this process. What always holds: `active` is the number of
// its requests under way, in any order in which they are answered.

const net = require('node:net');
const { now } = require('../clock');
const {
  deathsOf, hadRequests, pastOf, runOn, runOnWithRequest, silentSince, withDeaths,
} = require('./moved-connection');

/**
 * How many workers may end with a connection before none gets it again: while the listeners of its
 * server get it, before its request has begun, and while it is idle.
 */
const MOST_DEATHS = { arriving: 1, asked: 2, idle: 10 };

class Http1State {
  active = 0;
  /** The response of its last request under way. */
  last = undefined;
  /** How many bytes had been read of it when it came here, before any message. */
  fresh;
  /**
   * The listener by which it came, if it can be moved: not through TLS or a stream of the script's,
   * whose state lives here.
   */
  listener;
  /** Since when it was here and, if it was moved, silent; by `now()`. */
  since;
  hadRequests = false;
  /** How many of its requests Node counts for `maxRequestsPerSocket`. */
  requests = 0;
  /** Its handle, line and ends of messages, where it can be marked (`idle-marks.js`). */
  handle = undefined;
  line = 0;
  ends = undefined;
  /** The `keepAliveTimeout` that the line tells. */
  waits = undefined;
  /** Whether its server's listeners are not done with its arrival, or one of them has thrown. */
  isArriving = true;
  /** How many workers have ended with it since its last request. */
  deaths = 0;
  /** The bytes of a request that came with it, until its server has them; and its past then. */
  request;
  #past;
  /** How many workers have ended with that request, until it begins. */
  retries = 0;
  /** Its last request that has begun, where such requests may go to another worker (`Retry`). */
  begun = undefined;

  /**
   * @param {net.Socket} stream
   * @param {object} [origin] where it came from (`Origin` of `src/protocol/connections.rs`)
   */
  constructor(stream, { listener, past, request } = {}) {
    this.fresh = hasBegun(stream) ? undefined : stream.bytesRead;
    const hasState = stream.encrypted || !(stream instanceof net.Socket);
    this.listener = hasState ? undefined : listener;
    this.since = past ? silentSince(past) : now();
    if (!past) return;
    this.hadRequests = hadRequests(past);
    this.requests = past.requests;
    this.deaths = deathsOf(past);
    if (request === undefined) return;
    this.request = request;
    this.#past = past;
    this.retries = this.deaths;
  }

  /** All listeners of its server had it: what it was before goes on. */
  arrived(stream, { past, request }) {
    this.isArriving = false;
    if (past) (request ? runOnWithRequest : runOn)(stream, past);
  }

  /** A request of it begins on this server, and its response. */
  begin(request, response, { maxRequestsPerSocket }) {
    this.hadRequests = true;
    if (maxRequestsPerSocket > 0 && request.httpVersion === '1.1') this.requests += 1;
    this.active += 1;
    this.deaths = 0;
    this.last = response;
  }

  /** Whether it waits for another request, after a first one. */
  get isKeptAlive() {
    return this.active === 0 && this.hadRequests;
  }

  /**
   * Since when nothing was read or written on it, by `now()`; `undefined` once something was, here.
   */
  silentSince({ bytesRead, bytesWritten }) {
    return bytesRead + bytesWritten === this.fresh ? this.since : undefined;
  }

  /**
   * Its past, for the worker that gets it (`Past` of `src/protocol/connections.rs`). It is idle.
   */
  pastOf(stream) {
    return this.request === undefined ? pastOf(stream, this) : this.#past;
  }

  /**
   * Its past, if this process ends now. Undefined: too many have ended with it, perhaps by it.
   */
  pastAtEnd(stream) {
    const kind = this.request === undefined ? 'idle' : 'asked';
    const most = MOST_DEATHS[this.isArriving ? 'arriving' : kind];
    const deaths = this.deaths + 1;
    return deaths > most ? undefined : withDeaths(this.pastOf(stream), deaths);
  }
}

// A server that passes a connection on may have read from it and put it back: its message has
// begun.
function hasBegun(stream) {
  return stream.readableLength > 0 || (stream.bytesRead > 0 && !stream.encrypted);
}

module.exports = { Http1State };
