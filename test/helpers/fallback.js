'use strict';

// The addon and what stands in for it (lib/fallback), side by side.

const assert = require('node:assert');
const addon = require('../../lib/native');
const { fromNative } = require('../../lib/errors');
const { standIn } = require('../../lib/fallback/addon');

/** A module for Node's `--require` that hides the addon. */
const HIDDEN = require.resolve('./without-addon');

const fallback = standIn('because of the test');
const ABOUT = JSON.stringify({ node: process.version, root: '/' });

/** The result of `call`, or the error for users. */
function resultOf(call) {
  try {
    return call();
  } catch (thrown) {
    const { name, code, message } = fromNative(thrown);
    return { name, code, message };
  }
}

/** Calls with the addon and with what stands in for it, and checks that the results are equal. */
function assertSame(call, what) {
  const [wanted, found] = [addon, fallback].map((one) => resultOf(() => call(one)));
  assert.deepStrictEqual(found, wanted, what);
  return wanted;
}

/** A process without workers, of either kind. */
function single(one, options = {}) {
  const given = JSON.stringify({ cluster: false, monPort: false, ...options });
  return new one.NativeSingle(one.normalizeOptions(given), ABOUT, () => {});
}

/** The option `ecv`, normalised. */
const ecvOf = (one, ecv = {}) =>
  JSON.stringify(JSON.parse(one.normalizeOptions(JSON.stringify({ ecv }))).ecv);

/** Its health check. */
const check = (one, ecv) => single(one).healthCheck(ecvOf(one, ecv));

/** Its monitor URI. */
const monitorUri = (one, ecv, endpoint) =>
  new one.NativeMonitorUri(ecvOf(one, ecv), JSON.stringify(endpoint));

/** Variables for a process without the addon. */
const withoutAddon = () => ({
  NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --require "${HIDDEN}"`,
});

module.exports = {
  addon, assertSame, check, fallback, monitorUri, resultOf, single, withoutAddon,
};
