'use strict';

// What stands in for the addon where there is none: on macOS, Windows, Bun and Deno, and where it
// was not installed. It has those parts of the addon (addons/main) that one process without workers
// needs, by the same names and with the same arguments. A release has it in a file of its own,
// which is loaded nowhere else.
//
// What always holds: bytes, events, options and errors are those of the addon, which
// test/fallback/ compares; nothing here depends on a system; and what needs the addon fails with
// CLUSTER2_ERR_PLATFORM and the reason.

const dns = require('node:dns/promises');
const { appRoot } = require('./app');
const { failure } = require('./errors');
const { Route } = require('./health-check');
const { INHERITED, normalizeOptions } = require('./options');
const { MonitorUri } = require('./probe');
const { ask } = require('./remote');
const { singleOf } = require('./single');

/** The first address of the `host` option. A promise, as only the addon can wait for it. */
async function resolveHost(host) {
  try {
    return (await dns.lookup(host, { verbatim: true })).address;
  } catch (error) {
    const message = `host '${host}' cannot be resolved: ${error.message}`;
    throw failure('CLUSTER2_ERR_HOST_UNKNOWN', message);
  }
}

/**
 * The stand-in for the addon.
 * @param {string} reason why there is none, for users
 */
function standIn(reason) {
  return {
    /** Only here; the addon has no such property. */
    missing: reason,
    INHERITED,
    NativeMonitorUri: MonitorUri,
    NativeSingle: singleOf(reason),
    Route,
    appRoot,
    ask: (pids, command) => ask(pids, command, reason),
    normalizeOptions,
    resolveHost,
  };
}

module.exports = { standIn };
