'use strict';

// The user's options, checked by the addon. Functions stay here; the addon learns only that there
// are some.

const { ClusterTypeError, native } = require('./errors');
const addon = require('./native');

const KINDS = { function: 'a function', bigint: 'a bigint', symbol: 'a symbol' };

// JSON drops or changes these; the addon is to name them in its message.
function mark(_key, value) {
  if (typeof value === 'number') return Number.isFinite(value) ? value : { $type: String(value) };
  const kind = KINDS[typeof value];
  return kind ? { $type: kind } : value;
}

function print(options) {
  try {
    return JSON.stringify(options, mark);
  } catch (error) {
    const message = `the options cannot be read: ${error.message}`;
    throw new ClusterTypeError('CLUSTER2_ERR_OPTION_INVALID', message);
  }
}

/**
 * Checks options and fills in the defaults.
 * @param {object} options as the user gave them
 * @returns {object} `Config` of `src/config`, and `validator`, the user's function
 * @throws {TypeError} `CLUSTER2_ERR_OPTION_UNKNOWN`, `CLUSTER2_ERR_OPTION_INVALID`
 */
function normalize(options) {
  const json = print(options === undefined ? {} : options);
  const config = JSON.parse(native(() => addon.normalizeOptions(json)));
  // JSON leaves it out again when the options go to the addon.
  if (config.ecv?.validator) config.validator = options.ecv.validator;
  return config;
}

/**
 * The options by the names that users know, for `cluster.options`.
 * @param {object} config what `normalize` returned
 */
function effective({ ports, validator, ...config }) {
  const { cluster, monPort, ecv, overload } = config;
  return {
    ...config,
    cluster: cluster && addon.missing === undefined,
    port: ports.length === 1 ? ports[0] : ports,
    monPort: monPort ?? false,
    ecv: ecv ? { ...ecv, validator } : false,
    overload: overload ?? false,
  };
}

module.exports = { effective, normalize };
