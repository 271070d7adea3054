'use strict';

// The HTTP/1 requests of this process, from Node's diagnostics channels: those cost less than a
// listener on each server and each response, which would show on keep-alive. What always holds:
// `active` of a connection's state is the number of its requests without a finished response.

const diagnostics = require('node:diagnostics_channel');

/**
 * Watches requests until the returned function is called.
 * @param {(socket: net.Socket) => Http1State | undefined} stateOf what is kept of a connection;
 *   `undefined`: it is not ours
 * @param {object} listener
 * @param {Function} listener.onStart `(state, request, response, before)`: a request begins;
 *   `before`: the unfinished response before it on the same connection
 * @param {() => void} listener.onFinish a response is finished
 * @param {(state: Http1State, finished: object) => void} listener.onIdle after it, no other request
 *   of the connection is under way; with the message of Node's channel
 * @returns {() => void}
 */
function watchRequests(stateOf, { onStart, onFinish, onIdle }) {
  const start = ({ request, socket, response, server }) => {
    const state = stateOf(socket);
    if (state === undefined) return;
    onStart(state, request, response, state.active > 0 ? state.last : undefined);
    state.begin(request, response, server);
  };
  const finish = (finished) => {
    const { socket } = finished;
    const state = socket ? stateOf(socket) : undefined;
    if (state === undefined || state.active === 0) return;
    state.active -= 1;
    onFinish();
    if (state.active > 0) return;
    // A connection that lives on must not keep what it has answered.
    state.last = undefined;
    onIdle(state, finished);
  };
  const listeners = { 'http.server.request.start': start, 'http.server.response.finish': finish };
  const channels = Object.entries(listeners);
  for (const [name, listener] of channels) diagnostics.subscribe(name, listener);
  return () => {
    for (const [name, listener] of channels) diagnostics.unsubscribe(name, listener);
  };
}

module.exports = { watchRequests };
