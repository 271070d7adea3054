'use strict';

// The bytes of a request that has begun, from what Node shows of it: for another process that is to
// answer it. What always holds: they are those of one message of its method, URL and header lines,
// and nothing else; where that is not certain, there are none.

/** The methods that may be repeated: they change nothing (RFC 9110, 9.2.1). */
const METHODS = ['GET', 'HEAD', 'OPTIONS'];
const VERSIONS = ['1.0', '1.1'];
/** A token, and the characters of a URL and of a header's value. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const URL = /^[\x21-\x7e]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** How many headers Node keeps unless its server says otherwise (lib/_http_common.js). */
const KEPT = 1000;
/** A header that says that there is more of the request than its head. */
const hasMore = (name, value) =>
  name === 'transfer-encoding' || name === 'expect' || (name === 'content-length' && value !== '0');

/**
 * @param {{ method: string, url: string }} begun as they came: an app may change those of a request
 * @param {{ httpVersion: string, rawHeaders: string[] }} request
 * @param {{ maxHeadersCount: number | null | undefined }} server its own. As many headers as it
 *   keeps may not be all: one of those that are missing may tell of a body
 * @returns {Buffer | undefined} undefined: it may not be repeated, or has a body
 */
function headOf({ method, url }, { httpVersion, rawHeaders }, { maxHeadersCount }) {
  const kept = typeof maxHeadersCount === 'number' ? maxHeadersCount : KEPT;
  if (kept > 0 && rawHeaders.length >= 2 * kept) return undefined;
  if (!METHODS.includes(method) || !VERSIONS.includes(httpVersion) || !URL.test(url))
    return undefined;
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const [name, value] = [rawHeaders[i], rawHeaders[i + 1]];
    if (!NAME.test(name) || !VALUE.test(value)) return undefined;
    if (hasMore(name.toLowerCase(), value)) return undefined;
    lines.push(`${name}: ${value}`);
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

/** How long a path may be in a message. */
const SHOWN = 100;

/** The method and path of a request, for a message: without what may be secret. */
function nameOf({ method, url }) {
  const path = url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '') || '/';
  return `${method} ${path.length > SHOWN ? `${path.slice(0, SHOWN)}…` : path}`;
}

module.exports = { headOf, nameOf };
