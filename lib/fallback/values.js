'use strict';

// Single values of the options, as `src/config/values.rs` and `src/config/network.rs` read them.
// `undefined`: it is not one.

const net = require('node:net');

/** A whole number, which may be a numeric string, as from an environment variable. */
function whole(value) {
  const isDigits = typeof value === 'string' && /^\s*\+?\d+\s*$/.test(value);
  const number = isDigits ? Number(value) : value;
  return Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

const SECOND = 1000;
const KIB = 1024;

/** Kinds of quantities (`src/config/units.rs`): what a bare number counts, and units of it. */
const QUANTITIES = {
  milliseconds: {
    example: "a time such as '90s'",
    units: { ms: 1, s: SECOND, m: 60 * SECOND, h: 3600 * SECOND, d: 86_400 * SECOND },
  },
  seconds: { example: "a time such as '12h'", units: { s: 1, m: 60, h: 3600, d: 86_400 } },
  bytes: {
    example: "a size such as '300M'",
    units: {
      b: 1,
      ...{ k: KIB, kb: KIB, kib: KIB },
      ...{ m: KIB ** 2, mb: KIB ** 2, mib: KIB ** 2 },
      ...{ g: KIB ** 3, gb: KIB ** 3, gib: KIB ** 3 },
    },
  },
};

/** A whole number of the base, or a text with a number and a unit. */
function quantity(value, { units }) {
  const number = whole(value);
  if (number !== undefined || typeof value !== 'string') return number;
  const [, digits, unit] = value.trim().match(/^(\d+(?:\.\d+)?)\s*([a-z]+)$/i) ?? [];
  const factor = Object.hasOwn(units, unit?.toLowerCase()) ? units[unit.toLowerCase()] : NaN;
  const found = Number(digits) * factor;
  // A fraction never becomes 0, which would turn a limit off.
  const isGood = found === 0 || (found >= 1 && found <= Number.MAX_SAFE_INTEGER);
  return isGood ? Math.floor(found) : undefined;
}

/** An argument or the value of a variable: a text that may be empty, or a number. */
function argument(value) {
  if (typeof value === 'string') return value.includes('\0') ? undefined : value;
  return typeof value === 'number' ? String(value) : undefined;
}

const isObject = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !('$type' in value);

/** Whether it is a text that is neither empty nor cut short by a NUL. */
const isText = (value) => typeof value === 'string' && value !== '' && !value.includes('\0');

/** Whether a health check can probe it: a path on the app, or a URL without a user. */
function isProbeTarget(text) {
  // Blanks, control characters and what must be escaped: WHATWG's parser would escape them.
  if (/[\s\p{Cc}<>`\\^]/u.test(text)) return false;
  if (text.startsWith('/')) return true;
  if (!/^https?:\/\//i.test(text)) return false;
  try {
    const { username, password } = new URL(text);
    return username === '' && password === '';
  } catch {
    return false;
  }
}

/** Whether it is an address, or a network as `10.0.0.0/8`. */
function isNetwork(text) {
  const [address, prefix, ...rest] = text.split('/');
  const version = address.includes('%') ? 0 : net.isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && prefix <= (version === 4 ? 32 : 128));
}

/** Shows a value in a message, shortened. */
function show(value) {
  if (value?.$type !== undefined) return value.$type;
  const characters = [...JSON.stringify(value)];
  return characters.length > 60 ? `${characters.slice(0, 60).join('')}…` : characters.join('');
}

/** What stands before the name of a socket that the service manager passed, in place of a path. */
const INHERITED = 'systemd:';

const isAbstract = (value) =>
  typeof value === 'string' && value[0] === '\0' && isText(value.slice(1));

/** A port: a number, also as a numeric string, or a path or name. */
function port(value) {
  const number = whole(value);
  if (number !== undefined) return number <= 0xffff ? number : undefined;
  // `-1` or `80.5` is a mistyped port, not the name of a socket.
  const isName = isText(value) && Number.isNaN(Number(value)) && value !== INHERITED;
  return isName || isAbstract(value) ? value : undefined;
}

/** Whether only an app may listen there. */
const isForApp = (value) =>
  typeof value === 'string' && (value.startsWith(INHERITED) || isAbstract(value));

module.exports = {
  INHERITED, QUANTITIES, argument, isForApp, isNetwork, isObject, isProbeTarget, isText, port,
  quantity, show, whole,
};
