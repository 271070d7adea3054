'use strict';
// A service of one unary call and one stream, without a file of its own: messages are JSON.
const toBytes = (value) => Buffer.from(JSON.stringify(value));
const fromBytes = (bytes) => JSON.parse(bytes);
const call = (name, responseStream) => ({
  path: `/test.Greeter/${name}`,
  requestStream: false,
  responseStream,
  requestSerialize: toBytes,
  requestDeserialize: fromBytes,
  responseSerialize: toBytes,
  responseDeserialize: fromBytes,
});
module.exports = { hello: call('hello', false), count: call('count', true) };
