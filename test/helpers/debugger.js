'use strict';

// A minimal debugger, and ports for processes that wait for one.

const net = require('node:net');
const WebSocket = require('ws');
const { request } = require('./client');
const { until, within } = require('./wait');

const isFree = (port) =>
  new Promise((resolve) => {
    const server = net.createServer().on('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });

/**
 * Returns the first of `count` unused ports in a row, below the ephemeral ports of the kernel.
 */
function freePorts(count) {
  return until(`${count} free ports in a row`, async () => {
    const first = 10_000 + Math.floor(Math.random() * 20_000);
    const free = await Promise.all(
      Array.from({ length: count }, (_, index) => isFree(first + index)),
    );
    return free.every(Boolean) && first;
  });
}

/**
 * Returns Node's description of the process whose debugger listens on `port`, or `undefined` if
 * none does.
 */
async function targetOn(port) {
  const answer = await request(port, '/json/list').catch(() => undefined);
  return answer && JSON.parse(answer.body)[0];
}

/** Continues a process that waits for a debugger before its first line (`--inspect-brk`). */
async function goOn(port) {
  const { webSocketDebuggerUrl } = await until(`a debugger listens on ${port}`, () =>
    targetOn(port),
  );
  const socket = new WebSocket(webSocketDebuggerUrl);
  await within('the debugger is open', new Promise((resolve) => socket.once('open', resolve)));
  const say = (method) => socket.send(JSON.stringify({ id: 1, method }));
  const stopped = new Promise((resolve) => {
    socket.on('message', (data) => JSON.parse(data).method === 'Debugger.paused' && resolve());
  });
  ['Runtime.enable', 'Debugger.enable', 'Runtime.runIfWaitingForDebugger'].forEach(say);
  await within('it stands before its first line', stopped);
  say('Debugger.resume');
  socket.close();
}

module.exports = { freePorts, goOn };
