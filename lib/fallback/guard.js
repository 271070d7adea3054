'use strict';

// Which clients may switch the health check: the options `ecv.token` and `ecv.allow`, as
// `src/health/guard.rs` reads them.

const { createHash, timingSafeEqual } = require('node:crypto');
const net = require('node:net');

const familyOf = (address) => (net.isIPv6(address) ? 'ipv6' : 'ipv4');
/** IPv4 as such, also where it came in on an IPv6 socket. */
const plain = (address) => address.replace(/^::ffff:(?=\d+\.)/i, '');

// One list for each family: in a common one, IPv4 clients would match networks of IPv6 too.
function networks(allow) {
  const lists = { ipv4: new net.BlockList(), ipv6: new net.BlockList() };
  for (const text of allow) {
    const [address, prefix] = text.split('/');
    const family = familyOf(address);
    if (prefix === undefined) lists[family].addAddress(address, family);
    else lists[family].addSubnet(address, Number(prefix), family);
  }
  return lists;
}

/** Compares in a time that depends on the lengths alone. */
function isSame(given, wanted) {
  const [one, other] = [given, wanted].map((text) => createHash('sha256').update(text).digest());
  return timingSafeEqual(one, other);
}

class Guard {
  #token;
  /** `null`: any address. */
  #allow;

  /** @param {{ token: ?string, allow: ?string[] }} options */
  constructor({ token, allow }) {
    this.#token = token;
    this.#allow = allow && networks(allow);
  }

  /**
   * A request from a web page always needs the token.
   * @param {string} [client] its address; `undefined` on a unix socket, empty if it has gone
   * @returns {?number} the status of the refusal, 401 or 403; `null`: it may
   */
  refuses(client, authorization, isFromPage) {
    if (this.#allow && client !== undefined && !this.#isAllowed(plain(client))) return 403;
    if (this.#token === null) return isFromPage ? 403 : null;
    const [, given] = authorization?.match(/^bearer (.*)$/is) ?? [];
    return given !== undefined && isSame(given.trim(), this.#token) ? null : 401;
  }

  #isAllowed(address) {
    const family = familyOf(address);
    return net.isIP(address) !== 0 && this.#allow[family].check(address, family);
  }
}

module.exports = { Guard };
