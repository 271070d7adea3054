'use strict';

// Decisions of an HTTP/1 response (lib/_http_outgoing.js). Read in Node 18.7 to 26.

const { ServerResponse } = require('node:http');

// As Node has it: this file is loaded before the user's code.
const { writeHead } = ServerResponse.prototype;

/** Whether the connection stays open after this response. */
function keepsAlive(response) {
  return response.shouldKeepAlive;
}

/** Decides whether the connection stays open after a response whose head was not sent yet. */
function keepAlive(response, isKept) {
  response.shouldKeepAlive = isKept;
}

/**
 * Ends a response after `writeHead` with a body that is chunked already, where the response is sent
 * in chunks: so head and body are one write. Node would make six of them.
 * @param {string} body
 * @param {string} chunks the same in chunks, including the last one
 * @param {string} encoding of `chunks`
 */
function endInOneWrite(response, body, chunks, encoding) {
  if (!response.chunkedEncoding) return response.end(body);
  response.chunkedEncoding = false;
  return response.end(chunks, encoding);
}

/**
 * Whether only Node's own `writeHead` decides about the head of this response, nothing has added
 * to it, and the client does not wait for 100: then equal arguments make equal heads, on
 * connections that stay open.
 */
function isPlain(response) {
  const isOfNode = Object.getPrototypeOf(response) === ServerResponse.prototype;
  if (!isOfNode || response.writeHead !== writeHead) return false;
  return !response._expect_continue && response.getHeaderNames().length === 0;
}

/** The head that `writeHead` made, as text: lib/_http_outgoing.js (`_storeHeader`). */
function headOf(response) {
  return response._header;
}

/**
 * Stands in for `writeHead`, which checks and joins all headers each time.
 * @param {ServerResponse} response a plain one, with a body, on a connection that stays open
 * @param {{ status: number, reason: string, head: string }} made `head` as another such response
 *   had it, by `headOf`
 */
function repeatHead(response, { status, reason, head }) {
  response.statusCode = status;
  response.statusMessage = reason;
  response._header = head;
  response._headerSent = false;
  response.chunkedEncoding = true;
}

module.exports = { endInOneWrite, headOf, isPlain, keepAlive, keepsAlive, repeatHead };
