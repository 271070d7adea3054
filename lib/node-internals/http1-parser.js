'use strict';

// The parser of an HTTP/1 connection (lib/_http_server.js, lib/_http_common.js,
// src/node_http_parser.cc). Read in Node 18.7 to 26.

/**
 * Whether a connection still speaks HTTP/1: it was not upgraded. lib/_http_common.js
 * (`freeParser`).
 */
function speaksHttp1(stream) {
  return Boolean(stream.parser);
}

const MESSAGE = Buffer.from('GET / HTTP/1.1\r\n\r\n');

/**
 * Puts the parser of a connection between two messages, by a message that Node does not see. Node
 * would give the next one `headersTimeout` from now: src/node_http_parser.cc (`Parser::Initialize`,
 * `on_message_complete`, `ConnectionsList::Expired`). Where that is impossible, the parser leaves
 * Node's list until its next message.
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

/**
 * Since which version of its line Node ends the wait for a message with its head, not its bytes.
 */
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

// Calls `first` with the next bytes that a parser has parsed, and perhaps with later ones.
function onBytes(parser, first) {
  const { kOnExecute } = parser.constructor;
  const onExecute = parser[kOnExecute];
  if (typeof onExecute !== 'function') return;
  const once = (result) => {
    // `MessageEnds` may stand before it by now.
    if (parser[kOnExecute] === once) parser[kOnExecute] = onExecute;
    first();
    return onExecute(result);
  };
  parser[kOnExecute] = once;
}

module.exports = { beforeMessages, endMessage, speaksHttp1 };
