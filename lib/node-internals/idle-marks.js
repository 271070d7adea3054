'use strict';

// What Node shows of a connection that is between two messages (lib/_http_server.js,
// lib/_http_outgoing.js, lib/net.js, src/stream_base.cc, src/node_http_parser.cc). Read in Node
// 18.7 to 26.

const net = require('node:net');

/** The handle below a connection. */
function handleOf(stream) {
  return stream._handle;
}

/** Whether a connection speaks HTTP/1, has this descriptor, and nothing was read of it here. */
function isUntouched(stream, fd) {
  const handle = stream._handle;
  return stream.parser?._consumed === true && handle?.fd === fd && handle.bytesRead === 0 &&
    stream.readableLength === 0 && stream.writableLength === 0 && !stream.writableEnded;
}

/**
 * Whether all of this response is with the kernel, and the connection stays open. Where a listener
 * of the app reads the bytes too, the parser does not read from the handle by itself (`_consumed`),
 * and the app may keep some.
 */
function isSent(socket, handle, response) {
  return socket._handle === handle && socket.parser?._consumed === true && !response._last &&
    socket.writableLength === 0 && !socket.writableEnded;
}

/** Whether a client may send others after a request. lib/_http_server.js (`parserOnIncoming`). */
function mayStay(response) {
  return response.shouldKeepAlive !== false;
}

/** Whether a message has begun behind the last head that a parser told. */
const BEGUN = Symbol('cluster2-rs.begun');

// One for all parsers.
function onBegin() {
  this[BEGUN] = true;
}

/**
 * Follows the bytes of a connection from its first head on to the ends of its messages, as long as
 * Node's parser reads them. What always holds: `end` is a number of bytes behind which no message
 * had begun when exactly so many were parsed, and all before it were whole.
 *
 * The parser tells how many bytes it has parsed of what was read, and the first byte of a message.
 * The latter costs a call, and is asked for only behind a head, in what is read with it: nobody but
 * a client that sends requests ahead has to pay it. Node uses no such callback, and clears both
 * when it frees the parser. lib/_http_server.js (`onParserExecute`), lib/_http_common.js
 * (`cleanParser`), src/node_http_parser.cc (`OnStreamRead`, `Execute`, `on_message_begin`).
 */
class MessageEnds {
  #parser;
  #begin;
  #handle;
  #parsed;
  /** The last request whose head was read, until it is whole. */
  #request;
  #marks;
  #index;
  end;

  /**
   * @param {net.Socket} stream whose first head is being told
   * @param {number} before how many bytes were read of it before it came here
   * @param {Float64Array} marks
   * @param {number} index where in `marks` each new `end` is written, over a number that is not
   *   negative
   */
  constructor({ parser, _handle: handle }, before, marks, index) {
    const { kOnMessageBegin, kOnExecute } = parser.constructor;
    this.#parser = parser;
    this.#begin = kOnMessageBegin | 0;
    this.#handle = handle;
    this.end = before;
    this.#marks = marks;
    this.#index = index;
    const execute = parser[kOnExecute];
    parser[kOnExecute] = (result) => {
      this.#execute(result);
      return execute(result);
    };
  }

  /** The head of a request was read: called from Node's channel for that. */
  head(request) {
    const parser = this.#parser;
    this.#request = request;
    parser[BEGUN] = false;
    parser[this.#begin] = onBegin;
  }

  // What was read together is parsed. An error is not a number, and neither is `#parsed` from then
  // on.
  #execute(result) {
    if (typeof result !== 'number') this.#parsed = NaN;
    else if (this.#parsed !== undefined) this.#parsed += result;
    // With the first head, all that was read is parsed.
    else this.#parsed = this.end + this.#handle.bytesRead;
    if (this.#request?.complete !== true || this.#parser[BEGUN]) return;
    this.#request = undefined;
    this.#parser[this.#begin] = null;
    const end = this.end = this.#parsed;
    if (this.#marks[this.#index] >= 0) this.#marks[this.#index] = end;
  }
}

/**
 * Calls `called` with a server of which a connection is about to be sent to another process, before
 * it is: lib/net.js (`Server#_setupWorker`), lib/internal/child_process.js.
 */
function beforeSending(called) {
  const { prototype } = net.Server;
  const { _setupWorker } = prototype;
  if (typeof _setupWorker !== 'function') return;
  prototype._setupWorker = function (...args) {
    called(this);
    return Reflect.apply(_setupWorker, this, args);
  };
}

module.exports = { MessageEnds, beforeSending, handleOf, isSent, isUntouched, mayStay };
