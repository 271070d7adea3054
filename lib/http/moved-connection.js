'use strict';

// The past of a moved HTTP/1 connection: reported by the worker that gives it back, applied by the
// one that gets it. What always holds: Node ends, refuses or announces on a moved connection what
// it would have without the move, at the same time. Its times run on from where they were
// (`keepAliveTimeout`, `timeout`, `headersTimeout`, `requestTimeout`), and its requests are counted
// on (`maxRequestsPerSocket`).

const { now } = require('../clock');
const internals = require('../node-internals');
const { observe } = require('./server-events');

/** Of each connection that is taken off the channel (`take` of `addons/shared/src/worker.rs`). */
const NUMBERS = 6;
/** The stage of a connection (`Past` of `src/protocol/connections.rs`). */
/**
 * Added to the stage of a connection whose time-out is over and was emitted, without traffic since.
 */
const TIMED_OUT = 4;
/** Added for each worker that has ended with the connection since its last request was answered. */
const DIED = 8;
const STAGE = { NEW: 0, UNUSED: 1, BETWEEN: 2, KEPT: 3, TIMED_OUT };
/** The longest time of a timer of Node's, milliseconds. */
const LONGEST = 0x7fffffff;

/**
 * The past of an idle connection.
 * @param {net.Socket} stream
 * @param {{ hadRequests: boolean, since: number, requests: number }} known whether it ever had a
 *   request; since when it was there, by `now()`; how many of them count for `maxRequestsPerSocket`
 * @returns {{ stage: number, since: number, timeout: number, requests: number }} `Past` of
 *   `src/protocol/connections.rs`
 */
function pastOf(stream, { hadRequests: isUsed, since, requests }) {
  const { timeout, passed, isTimedOut } = internals.timeoutOf(stream);
  const used = internals.serverOf(stream).keepAliveTimeout ? STAGE.KEPT : STAGE.BETWEEN;
  return {
    stage: (isUsed ? used : STAGE.UNUSED) + (isTimedOut ? TIMED_OUT : 0),
    since: toBits(isUsed ? now() - passed : since),
    timeout: Math.min(Math.ceil(timeout), LONGEST),
    requests,
  };
}

/**
 * The past of a connection with a request that its worker has not answered.
 * @param {number} requests how many before it count for `maxRequestsPerSocket`
 */
function unansweredPast(requests) {
  return { stage: STAGE.UNUSED, since: toBits(now()), timeout: 0, requests };
}

/** A past of a connection with which so many workers have ended. */
const withDeaths = (past, deaths) => ({ ...past, stage: (past.stage % DIED) + DIED * deaths });

/** How many workers have ended with a moved connection, or the request that comes with it. */
const deathsOf = ({ stage }) => Math.floor(stage / DIED);

/**
 * Applies the past of a connection in this process, once its server has it. It is idle.
 * @param {net.Socket} stream
 * @param {object} past as from `pastOf`, in another process
 */
function runOn(stream, { stage: bits, since, timeout, requests }) {
  if (stream.destroyed || !internals.speaksHttp1(stream)) return;
  const server = internals.serverOf(stream);
  const [stage, isTimedOut] = [bits % TIMED_OUT, (bits & TIMED_OUT) !== 0];
  const at = fromBits(since);
  internals.runTimeoutOn(stream, { timeout, passed: now() - at, isTimedOut });
  if (stage === STAGE.UNUSED) return internals.dateBack(stream, at);
  internals.endMessage(stream);
  // Node gives a request other times than the wait for it, but does not know of a wait elsewhere.
  const begun = stage === STAGE.KEPT ? () => stream.setTimeout(server.timeout || 0) : undefined;
  if (begun || requests > 0) internals.beforeMessages(stream, { begun, requests });
}

/** As `runOn`, for a connection whose request comes with it, as if both had just come. */
function runOnWithRequest(stream, { requests }) {
  if (requests > 0 && internals.speaksHttp1(stream)) internals.beforeMessages(stream, { requests });
}

/**
 * Lets a server take a moved connection, even if it has its `maxConnections` already: the client
 * was admitted before. Node compares the two before it emits `connection` (lib/net.js of Node 18 to
 * 26), so the app sees its own limit in every listener.
 * @param {net.Server} server
 * @param {() => void} enter gives the connection to the server
 */
function enterBeyondLimit(server, enter) {
  const { maxConnections } = server;
  if (maxConnections === undefined || maxConnections === null) return enter();
  const restore = () => (server.maxConnections = maxConnections);
  const before = (of, event) => of === server && event === 'connection' && restore();
  const end = observe({ before });
  server.maxConnections = undefined;
  try {
    return enter();
  } finally {
    end();
    restore();
  }
}

/** Whether a moved connection ever had a request before. */
const hadRequests = ({ stage }) => stage % TIMED_OUT > STAGE.UNUSED;

/** Since when a moved connection had no traffic, by `now()`. */
const silentSince = ({ since }) => fromBits(since);

/** A past as four numbers of 32 bits; those of a new connection without one. */
function toNumbers({ stage = STAGE.NEW, since = 0, timeout = 0, requests = 0 } = {}) {
  return Uint32Array.of(stage, since, timeout, requests);
}

/**
 * The `Origin` (of `src/protocol/connections.rs`) that the five numbers tell that begin at an
 * index.
 * @returns {{ listener: number, past: object|undefined }} without `past` the connection is new
 */
function originFrom(numbers, at) {
  const listener = numbers[at];
  if (numbers[at + 1] === STAGE.NEW) return { listener, past: undefined };
  const [stage, since, timeout, requests] = numbers.subarray(at + 1, at + 5);
  return { listener, past: { stage, since, timeout, requests } };
}

/** The last 32 bits of a time by `now()`. */
const toBits = (time) => Math.round(time) >>> 0;

/** The time by `now()` that has these last bits, and is no later than now. */
function fromBits(bits) {
  const at = Math.round(now());
  return at - Math.max(0, (at - bits) | 0);
}

module.exports = {
  NUMBERS, STAGE, deathsOf, enterBeyondLimit, hadRequests, originFrom, pastOf, runOn,
  runOnWithRequest, silentSince, toNumbers, unansweredPast, withDeaths,
};
