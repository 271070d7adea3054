'use strict';

// A conforming HTTP/2 client: after GOAWAY it uses a new session, and retries requests that were
// not processed.

const http2 = require('node:http2');
const { once } = require('node:events');

class Http2Client {
  /** The error codes of the received GOAWAYs; 0 is no error. */
  goaways = [];
  /** The errors of sessions. */
  errors = [];
  #origin;
  #options;
  #session;

  /** @param {string} origin @param {object} [options] of `http2.connect` */
  constructor(origin, options) {
    this.#origin = origin;
    this.#options = options;
  }

  async #connected() {
    const old = this.#session;
    if (old && !old.closed && !old.destroyed) return old;
    const session = http2.connect(this.#origin, this.#options);
    this.#session = session;
    session
      .on('error', (error) => this.errors.push(error))
      .on('goaway', (code) => this.goaways.push(code));
    await once(session, 'connect');
    return session;
  }

  /** Requests a path, and returns the body of the answer. */
  async get(path) {
    for (;;) {
      const session = await this.#connected();
      try {
        const stream = session.request({ ':path': path });
        let body = '';
        for await (const text of stream.setEncoding('utf8')) body += text;
        return body;
      } catch (error) {
        // RFC 9113, 8.7: the request was not processed, so a retry is safe.
        const again =
          error.code === 'ERR_HTTP2_GOAWAY_SESSION' || /NGHTTP2_REFUSED_STREAM/.test(error.message);
        if (!again) throw error;
      }
    }
  }

  async close() {
    this.#session?.close();
    if (this.#session && !this.#session.destroyed) await once(this.#session, 'close');
  }
}

module.exports = { Http2Client };
