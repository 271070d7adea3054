'use strict';

// The answers to load balancers and operators, as the original's manual shows them; the same bytes
// as `src/health/answer.rs`.

const os = require('node:os');
const { STATUS_CODES } = require('node:http');

const VERDICTS = {
  AVAILABLE: { status: 200, traffic: true, connection: 'keep-alive' },
  WARNING: { status: 500, traffic: false, connection: 'close' },
  DISABLED: { status: 400, traffic: false, connection: 'close' },
};

const REFUSALS = {
  401: { body: 'a bearer token is needed', more: ['WWW-Authenticate', 'Bearer'] },
  403: { body: 'you may not switch the health check from there', more: [] },
};

/**
 * Languages in which time zones have the short names that their people use: each knows a few.
 */
const LANGUAGES = ['en-US', 'en-GB', 'en-AU', 'en-IN', 'en-ZA', 'en-NZ', 'ja'];

const pad = (number) => String(number).padStart(2, '0');

/** The short name of the local time zone; without one its offset, as in the tz database. */
function zoneAt(time, offset) {
  for (const language of LANGUAGES) {
    const format = new Intl.DateTimeFormat(language, { timeZoneName: 'short' });
    const { value } = format.formatToParts(time).find(({ type }) => type === 'timeZoneName');
    if (/^[A-Z]+$/.test(value)) return value;
  }
  return offset.replace(/00$/, '');
}

/**
 * A time as JavaScript's `Date` showed it when the manual was written:
 * `Fri May 18 2012 09:49:32 GMT-0700 (PDT)`.
 */
function date(millis) {
  const time = new Date(millis);
  const minutes = -time.getTimezoneOffset();
  const size = Math.abs(minutes);
  const offset = `${minutes < 0 ? '-' : '+'}${pad(Math.floor(size / 60))}${pad(size % 60)}`;
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(pad).join(':');
  return `${time.toDateString()} ${clock} GMT${offset} (${zoneAt(time, offset)})`;
}

function answer(status, { body, since, connection, more = [] }) {
  const headers = [
    'X-Powered-By', 'Cluster2',
    ...(body === '' ? [] : ['content-type', 'text/plain']),
    'since', date(since),
    'cache-control', 'no-cache',
    'Connection', connection,
    ...more,
  ];
  return { status, reason: STATUS_CODES[status], headers, body };
}

/**
 * Answers a check.
 * @param {'AVAILABLE'|'WARNING'|'DISABLED'} word
 * @param {number} since milliseconds since 1970
 * @param {string} ip our end of the connection
 * @param {string} port the port, or the path of a unix socket
 */
function checkAnswer(word, since, ip, port) {
  const { status, traffic, connection } = VERDICTS[word];
  const body =
    `status=${word}&ServeTraffic=${traffic}&ip=${ip}&hostname=${os.hostname()}&port=${port}` +
    `&time=${date(Date.now())}`;
  return answer(status, { body, since, connection });
}

/** Answers a switch. */
function switchAnswer(since) {
  return answer(204, { body: '', since, connection: 'close' });
}

/** Answers a client that may not switch. `status`: 401 or 403. */
function refusal(status, since) {
  return answer(status, { ...REFUSALS[status], since, connection: 'close' });
}

module.exports = { checkAnswer, date, refusal, switchAnswer };
