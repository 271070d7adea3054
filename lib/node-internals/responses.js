'use strict';

// Decisions of an HTTP/1 response (lib/_http_outgoing.js). Read in Node 18.7 to 26.

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

module.exports = { endInOneWrite, keepAlive, keepsAlive };
