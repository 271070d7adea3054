'use strict';

// A minimal debugger.

const WebSocket = require('ws');
const { request } = require('./client');
const { until, within } = require('./wait');

const TELL_EVERY_MS = 50;

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
  ['Runtime.enable', 'Debugger.enable'].forEach(say);
  // Its debugger listens before it waits, and what comes between the two does not count.
  const telling = setInterval(say, TELL_EVERY_MS, 'Runtime.runIfWaitingForDebugger');
  const hasStopped = within('it stops before its first line', stopped);
  await hasStopped.finally(() => clearInterval(telling));
  say('Debugger.resume');
  socket.close();
}

/**
 * Returns the pid of the process whose debugger listens on `port`, or `undefined` if none does, or
 * the process ends meanwhile.
 */
async function pidOn(port) {
  const target = await targetOn(port);
  if (!target) return undefined;
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  const answered = new Promise((resolve) => {
    socket.once('error', () => {});
    socket.once('message', resolve);
    socket.once('close', () => resolve(undefined));
  });
  const params = { expression: 'process.pid' };
  socket.once('open', () =>
    socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params })));
  const answer = await within('the debugger answers, or ends', answered);
  socket.close();
  return answer && JSON.parse(answer).result.result.value;
}

module.exports = { goOn, pidOn };
