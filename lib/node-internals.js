'use strict';

// What Node does not document and what is no part of the listen hook or the intake: one small function
// each, which says in which versions of Node it was read (18.7 to 26, if it names none), and what
// happens where a later one has it no more. What always holds: nothing here leaves a trace on an object
// of the app.

const http = require('node:http');
const { now } = require('./clock');

/** The longest time of a timer, milliseconds. */
const LONGEST = 0x7fffffff;

let connectionsKey;
/** What servers that have no list of their own are lent, and the class of such lists. */
const lent = new WeakMap();
let List;

/**
 * Node's own list of the HTTP/1 connections of a server, from the moment it listens:
 * lib/_http_server.js (`kConnections`), src/node_http_parser.cc (`ConnectionsList`).
 */
function connectionsOf(server) {
  const isKey = ({ description }) => description === 'http.server.connections';
  connectionsKey ??= Object.getOwnPropertySymbols(server).find(isKey);
  return connectionsKey === undefined ? undefined : server[connectionsKey];
}

/**
 * Those of `streams` that `closeIdleConnections()` of their servers takes for idle: they had a
 * request, and are between two messages. Without Node's list, they are found by that call.
 * @param {net.Socket[]} streams HTTP/1 connections
 * @returns {Set<net.Socket>}
 */
function idleAmong(streams) {
  const idle = new Set();
  for (const server of new Set(streams.map(({ server }) => server))) {
    const lists = [connectionsOf(server), lent.get(server)].filter((list) => list?.idle);
    for (const list of lists) for (const { socket } of list.idle()) idle.add(socket);
    if (lists.length === 0) whatItCloses(server, streams).forEach((stream) => idle.add(stream));
  }
  return new Set(streams.filter((stream) => idle.has(stream)));
}

// It tells only by destroying them: for the time of the call, `destroy` is set aside.
function whatItCloses(server, streams) {
  const closed = [];
  const own = streams.map((stream) => Object.getOwnPropertyDescriptor(stream, 'destroy'));
  for (const stream of streams) {
    const value = () => closed.push(stream);
    Reflect.defineProperty(stream, 'destroy', { value, configurable: true, writable: true });
  }
  try {
    // Before Node 20 an http2 server with `allowHTTP1` has no such method.
    server.closeIdleConnections?.();
  } finally {
    streams.forEach((stream, index) => {
      if (own[index]) Reflect.defineProperty(stream, 'destroy', own[index]);
      else delete stream.destroy;
    });
  }
  return closed;
}

/**
 * Lends a server that has no list of its own, as it does not listen, one for the connection that it is about to take in: so that
 * `idleAmong` knows that connection too. Node looks at no list but the server's own, so nothing else changes. To be followed by
 * `untrackIdle`. Read in 18.7 to 26: lib/_http_server.js (`connectionListenerInternal`).
 */
function trackIdle(server) {
  const mayBeHttp1 = typeof server.closeIdleConnections === 'function' || typeof server.updateSettings === 'function';
  if (!mayBeHttp1 || connectionsOf(server) !== undefined) return;
  List ??= listClass();
  if (List === undefined) return;
  if (!lent.has(server)) lent.set(server, new List());
  server[connectionsKey] = lent.get(server);
}

function untrackIdle(server) {
  const list = lent.get(server);
  if (list !== undefined && server[connectionsKey] === list) delete server[connectionsKey];
}

// A server makes its list as soon as it listens, or in Node 18.7 is made.
function listClass() {
  const server = http.createServer();
  server.emit('listening');
  const list = connectionsOf(server);
  server.close(() => {});
  return list?.constructor;
}

/** What carries a TLS connection: the connection as it came. Read in 18.7 to 26: lib/_tls_wrap.js, lib/net.js. */
function carrierOf(stream) {
  return stream._parent ?? undefined;
}

/** Whether the script has sent a connection to another process: lib/internal/child_process.js (`handleConversion`). */
const wasSent = (stream) => stream._handle === null && !stream.destroyed;

/** Whether any connection of a server was sent to another process: lib/net.js (`_setupWorker`). */
const hasSent = (server) => server._usingWorkers === true;

/** Whether a connection still speaks HTTP/1: it was not upgraded. lib/_http_common.js (`freeParser`). */
function speaksHttp1(stream) {
  return Boolean(stream.parser);
}

let timerKey;

/** The timer of `socket.setTimeout`: lib/internal/timers.js (`kTimeout`, `Timeout`). */
function timerOf(stream) {
  if (!(stream.timeout > 0)) return undefined;
  const isKey = ({ description }) => description === 'timeout';
  timerKey ??= Object.getOwnPropertySymbols(stream).find(isKey);
  const timer = timerKey && stream[timerKey];
  return timer?._idleStart === undefined ? undefined : timer;
}

/** Of timers whose first run is another: when it started, what had passed by then, if it was told. */
const shortened = new WeakMap();

/**
 * The time-out of a connection.
 * @returns {{ timeout: number, passed: number, isTold: boolean }} its length, 0: it has none; how
 *   much of it has passed, 0 without Node's timer; whether it is over and was told. Milliseconds
 */
function timeoutOf(stream) {
  const timeout = stream.timeout ?? 0;
  const timer = timerOf(stream);
  if (!timer) return { timeout, passed: 0, isTold: false };
  // A timer starts by the time of Node's event loop, which only another timer tells.
  const present = setTimeout(() => {}, 1);
  clearTimeout(present);
  const run = shortened.get(timer);
  const isFirst = run?.started === timer._idleStart;
  const passed = present._idleStart - timer._idleStart + (isFirst ? run.passed : 0);
  return { timeout, passed, isTold: timer._destroyed || (isFirst && run.isTold) };
}

/**
 * Gives a connection a time-out (as from `timeoutOf`) that began elsewhere. Whatever moves on it
 * starts it again at its full length, as always; without Node's timer, at what was left of it.
 */
function runTimeoutOn(stream, { timeout, passed, isTold }) {
  const rest = isTold ? LONGEST : Math.max(1, timeout - passed);
  stream.setTimeout(timeout > 0 ? rest : 0);
  const timer = timerOf(stream);
  if (!timer) return;
  stream.timeout = timeout;
  // What it is started with again. Now it is in the list of those that are over after the rest.
  timer._idleTimeout = timeout;
  shortened.set(timer, { started: timer._idleStart, passed, isTold });
}

const MESSAGE = Buffer.from('GET / HTTP/1.1\r\n\r\n');

/**
 * Puts the parser of a connection between two messages, by one that nobody hears of. Node would give
 * the next one `headersTimeout` from now: src/node_http_parser.cc (`Parser::Initialize`,
 * `on_message_complete`, `ConnectionsList::Expired`). Where that cannot be, the parser leaves Node's
 * list until its next message.
 */
function endMessage({ parser }) {
  const { kOnMessageBegin, kOnHeadersComplete, kOnMessageComplete } = parser.constructor;
  if (kOnMessageComplete === undefined) return parser.remove?.();
  const keys = [kOnMessageBegin, kOnHeadersComplete, kOnMessageComplete];
  const callbacks = keys.map((key) => parser[key]);
  for (const key of keys) parser[key] = null;
  parser.execute(MESSAGE);
  keys.forEach((key, index) => (parser[key] = callbacks[index]));
}

/** Connections that came elsewhere: when, by `now()`, and what was read of them by their coming here. */
const came = new WeakMap();

/**
 * Dates a connection on which nothing was read yet back to `at`, by `now()`: Node ends one that waits
 * for `headersTimeout` or `requestTimeout`. lib/_http_server.js (`checkConnections`),
 * src/node_http_parser.cc (`ConnectionsList::Expired`). Without Node's list its time begins again.
 */
function dateBack(stream, at) {
  const connections = connectionsOf(stream.server);
  if (!connections?.expired || !connections.active) return;
  came.set(stream, { at, read: stream.bytesRead });
  if (!Object.hasOwn(connections, 'expired')) connections.expired = expired;
}

// In front of Node's own `expired` of a list.
function expired(headersTimeout, requestTimeout) {
  const found = Object.getPrototypeOf(this).expired.call(this, headersTimeout, requestTimeout);
  const limit = Math.min(...[headersTimeout, requestTimeout].filter((timeout) => timeout > 0));
  for (const parser of this.active()) {
    const { at, read } = came.get(parser.socket) ?? {};
    if (at === undefined || read !== parser.socket.bytesRead || now() - at <= limit) continue;
    came.delete(parser.socket);
    found.push(parser);
  }
  return found;
}

/** Since which version of its line Node ends the wait for a message with its head, not its bytes. */
const WITH_HEAD = { 20: [20, 1], 22: [18, 0], 24: [3, 0] };

function endsWaitWithBytes() {
  const [major, minor, patch] = process.versions.node.split('.').map(Number);
  const [since, patched] = WITH_HEAD[major] ?? [major < 24 ? Infinity : 0, 0];
  return minor < since || (minor === since && patch < patched);
}

/**
 * Calls `begun` where Node ends the wait of a connection for its next message, once; and counts its
 * requests for `maxRequestsPerSocket` on from `requests`. lib/_http_server.js (`parserOnIncoming`,
 * `onParserExecuteCommon`, `resetSocketTimeout`). Without those nothing happens.
 */
function beforeMessages({ parser, server }, { begun, requests }) {
  const { onIncoming } = parser;
  if (typeof onIncoming !== 'function') return;
  let wait = begun;
  const endWait = () => {
    wait?.();
    wait = undefined;
  };
  if (endsWaitWithBytes()) onBytes(parser, endWait);
  let here = 0;
  parser.onIncoming = (request, keepAlive) => {
    endWait();
    if (requests === 0) parser.onIncoming = onIncoming;
    const limit = server.maxRequestsPerSocket;
    const counts = requests > 0 && limit > 0 && request.httpVersion === '1.1';
    if (counts) here += 1;
    if (!counts || requests + here < limit) return onIncoming(request, keepAlive);
    // Node has counted only those here: this one is the last, or one too many.
    const own = requests + here === limit ? here : 0.5;
    server.maxRequestsPerSocket = own;
    try {
      return onIncoming(request, keepAlive);
    } finally {
      if (server.maxRequestsPerSocket === own) server.maxRequestsPerSocket = limit;
    }
  };
}

// Calls `first` with the next bytes that a parser has parsed.
function onBytes(parser, first) {
  const { kOnExecute } = parser.constructor;
  const onExecute = parser[kOnExecute];
  if (typeof onExecute !== 'function') return;
  parser[kOnExecute] = (result) => {
    parser[kOnExecute] = onExecute;
    first();
    return onExecute(result);
  };
}

/**
 * Calls `called` when somebody closes a server that listens now, before Node emits anything. `net.Server#close` calls
 * `_handle.close()` after it has added its callback as a listener (lib/net.js of Node 18 to 26).
 */
function onHandleClose(server, called) {
  const handle = server._handle;
  const { close } = handle;
  handle.close = function (...args) {
    handle.close = close;
    called();
    return close.apply(this, args);
  };
}

/**
 * The descriptor of a listening socket that is Node's own; `undefined` where there is none (HandleWrap, src/stream_base.cc of
 * Node 18 to 26).
 */
function listeningDescriptor(server) {
  const fd = server._handle?.fd;
  return fd >= 0 ? fd : undefined;
}

/**
 * Closes the listening socket of a server. Its connections live on, and to its script it is a server that listens: `close()`
 * works as ever, `address()` answers what it did. Closing a handle twice does nothing (src/handle_wrap.cc of Node 18 to 26).
 */
function closeListeningSocket(server) {
  const handle = server._handle;
  if (!handle) return;
  const address = {};
  if (handle.getsockname?.(address) === 0) handle.getsockname = (out) => (Object.assign(out, address), 0);
  Object.getPrototypeOf(handle).close.call(handle);
}

module.exports = {
  carrierOf, closeListeningSocket, hasSent, idleAmong, listeningDescriptor, onHandleClose, speaksHttp1, trackIdle, untrackIdle,
  wasSent,
  // Of moved connections.
  beforeMessages, dateBack, endMessage, runTimeoutOn, timeoutOf,
};
