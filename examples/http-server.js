'use strict';
const Cluster = require('..');
const http = require('http');
var server = http.createServer(function (req, res) {
  res.writeHead(200);
  res.end('hello');
});
var c = new Cluster({ port: 3000, noWorkers: 2 });
for (const e of ['forked','listening','died','SIGTERM','SIGINT','SIGKILL','warning']) c.on(e, (...a) => console.log(process.pid, e, ...a));
c.listen(function (cb) {
  cb(server);
}, () => console.log(process.pid, 'up'));
