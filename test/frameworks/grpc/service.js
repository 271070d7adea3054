'use strict';
// A service with one unary call and one stream. It needs no .proto file, for messages are JSON.
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
