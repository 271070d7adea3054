'use strict';

// Runs once, in a spare, what JavaScript Node and we run from `listen()` to the end of a first
// request. V8 compiles a function when it is first called. So the first answer of a process takes
// several times as long as later ones, and a spare gives it when a worker is missing.
//
// What always holds: it is over before any code but ours and Node's runs in this process
// (`src/master/node_options.rs`), so nobody observes it. It opens nothing, counts nothing, and
// leaves no timer and no listener.

const http = require('node:http');
const { Counters } = require('../http/counters');
const { Traffic } = require('../http/traffic');
const {
  ListeningHandle, NullHandle, deliver, onListen, tellEnd,
} = require('../node-internals');

const REQUEST = Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
const ADDRESS = { address: '::', family: 'IPv6', port: 1 };

/** Has a server listen without a socket. Returns its handle. */
function listen(server) {
  const handle = new ListeningHandle({ address: ADDRESS });
  onListen((call) => call.finish(handle, { isIPv6: true, isLate: false }));
  server.listen(ADDRESS.port);
  // Node emits it in the next tick, when the script runs.
  server.emit('listening');
  return handle;
}

/** Has a listening server answer a request on a connection without a socket. */
function serveOne(server, handle) {
  let socket;
  let response;
  server.once('connection', (connection) => (socket = connection));
  server.once('request', (_, answer) => {
    response = answer;
    response.setHeader('Content-Type', 'text/plain');
    response.end('hello');
  });
  deliver(handle, new NullHandle());
  socket.emit('data', REQUEST);
  // These too come later. `destroy` would make `process.stderr`, which Node does when it is used.
  response.emit('finish');
  tellEnd(socket);
  socket.emit('close');
  mute(socket);
  mute(response);
}

/** What it emits later reaches nobody. */
function mute(emitter) {
  emitter.emit = () => false;
}

/** Uses `onListen`: whoever hands out handles in this worker calls it afterwards. */
function warmUp() {
  const traffic = new Traffic(new Counters());
  const server = http.createServer();
  try {
    traffic.watch(server);
    serveOne(server, listen(server));
  } catch {
    // On a Node that is not known yet. The first answer takes longer then.
  } finally {
    server.close();
    mute(server);
    traffic.close();
  }
}

module.exports = { warmUp };
