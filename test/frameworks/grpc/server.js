'use strict';
const grpc = require('@grpc/grpc-js');
const server = new grpc.Server();
server.addService(require('./service'), {
  hello: ({ request }, callback) => setTimeout(callback, request.after, null, { pid: process.pid }),
  count: (call) => {
    let count = 0;
    const timer = setInterval(() => {
      call.write({ count: (count += 1) });
      if (count < call.request.to) return;
      clearInterval(timer);
      call.end();
    }, 20);
  },
});
const credentials = grpc.ServerCredentials.createInsecure();
server.bindAsync(`127.0.0.1:${process.env.PORT}`, credentials, (error) => {
  if (error) throw error;
});
