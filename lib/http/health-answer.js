'use strict';

// Writes what the addon answers to a request of the health check.

const {
  endInOneWrite,
  headOf,
  isPlain,
  keepsAlive,
  repeatHead,
} = require('../node-internals');

/**
 * An answer of the addon, ready to be written.
 * @param {{ status: number, reason: string, headers: string[], body: string }} answer
 *   `NativeHealthAnswer` of `addons/shared/src/health.rs`; names and values of the headers in turn
 */
function toAnswer({ status, reason, headers, body }) {
  const connection = headers.indexOf('Connection') + 1;
  const closing = headers.map((text, index) => (index === connection ? 'close' : text));
  const size = Buffer.byteLength(body);
  const chunk = `${size.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  // Of plain ASCII, Node need not find out how long it is as UTF-8.
  const encoding = size === body.length ? 'latin1' : 'utf8';
  return { status, reason, headers, closing, body, chunk, encoding, head: undefined };
}

/**
 * Answers an HTTP/1 request. Node reads the rest of the request after that, and adds nothing but
 * the header that the manual shows too: `Transfer-Encoding: chunked`.
 */
function write(request, response, answer) {
  if (response.destroyed) return;
  response.sendDate = false;
  writeHead(request, response, answer);
  endInOneWrite(response, answer.body, answer.chunk, answer.encoding);
}

// The head of most answers is the one that Node made for the answer before.
function writeHead(request, response, answer) {
  const { status, reason, headers, closing } = answer;
  const isKept = keepsAlive(response) && request.httpVersion !== '1.0';
  const isUsual = isKept && request.method === 'GET' && isPlain(response);
  if (isUsual && answer.head) return repeatHead(response, answer);
  response.writeHead(status, reason, isKept ? headers : closing);
  if (isUsual && keepsAlive(response)) answer.head = headOf(response);
}

/** Answers an HTTP/2 request. */
function writeStream(stream, request, { status, headers, body }) {
  if (stream.destroyed) return;
  const fields = { ':status': status };
  for (let i = 0; i < headers.length; i += 2) {
    // HTTP/2 manages connections itself.
    if (headers[i] !== 'Connection') fields[headers[i].toLowerCase()] = headers[i + 1];
  }
  stream.respond(fields);
  stream.end(request[':method'] === 'HEAD' ? undefined : body);
}

module.exports = { toAnswer, write, writeStream };
