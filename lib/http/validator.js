'use strict';

const { describe, shorten } = require('../errors');

// All values of a header that is repeated, as Node shows them.
function toObject(headers) {
  const object = {};
  for (const [name, value] of headers) {
    object[name] = Object.hasOwn(object, name) ? `${object[name]}, ${value}` : value;
  }
  return object;
}

/**
 * Asks the user's validator.
 * @param {Function} validator called with `(status, headers, body)` of the monitor URI's answer, or
 *   with `(undefined, {}, '')` if there is none
 * @param {?{ status: number, headers: string[][], body: string }} answered
 * @param {number} timeout milliseconds
 * @returns {Promise<string|undefined>} what is wrong, in words; never rejects
 */
async function validate(validator, answered, timeout) {
  const { status, headers = [], body = '' } = answered ?? {};
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, timeout, `the validator did not answer within ${timeout} ms`);
  });
  const run = async () => {
    try {
      const verdict = await validator(status, toObject(headers), body);
      return verdict === false ? 'the validator said no' : undefined;
    } catch (error) {
      return shorten(`the validator failed: ${describe(error)}`);
    }
  };
  try {
    return await Promise.race([run(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks the user's validator for a check on the monitor's port, and answers the addon. */
async function onValidate({ id, answered }, config, native) {
  const problem = await validate(config.validator, answered, config.ecv.timeout);
  native?.validated(id, problem);
}

module.exports = { onValidate, validate };
