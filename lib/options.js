'use strict';

// The user's options, checked by the addon. Functions stay here; the addon learns only that there are some.

const { native } = require('./errors');
const addon = require('./native');

const KINDS = { function: 'a function', bigint: 'a bigint', symbol: 'a symbol' };

// JSON drops or changes these; the addon is to name them in its message.
function mark(_key, value) {
  const kind = KINDS[typeof value] ?? (Number.isNaN(value) ? 'NaN' : undefined);
  return kind ? { $type: kind } : value;
}

/**
 * Checks options and fills in the defaults.
 * @param {object} options as the user gave them
 * @returns {object} `Config` of `src/config`
 * @throws {TypeError} `CLUSTER2_ERR_OPTION_UNKNOWN`, `CLUSTER2_ERR_OPTION_INVALID`
 */
function normalize(options) {
  const json = JSON.stringify(options === undefined ? {} : options, mark);
  return JSON.parse(native(() => addon.normalizeOptions(json)));
}

module.exports = { normalize };
