'use strict';

// The end of a process, after all that its script does (lib/internal/process/per_thread.js,
// lib/internal/process/execution.js). Read in Node 18.7 to 26.

/**
 * Calls `ended` once, when the process is certain to end and its script does nothing more: after
 * all `exit` listeners, also where one of them throws. Node sets `_exiting` before it emits `exit`.
 * It is not called for an end by a signal, nor if an `uncaughtException` listener throws, which
 * ends the process at once.
 * @param {() => void} ended must not throw, nor wait for anything that comes later
 * @returns {() => void} `expect`: to be called by a listener of `uncaughtExceptionMonitor`, which
 *   Node calls before it decides whether the process ends
 */
function onProcessEnd(ended) {
  let isOver = false;
  const end = () => {
    if (isOver) return;
    isOver = true;
    ended();
  };
  // `process.exit()` calls it last.
  const { reallyExit } = process;
  process.reallyExit = named('reallyExit', function (...args) {
    end();
    return Reflect.apply(reallyExit, this, args);
  });
  let isWatched = false;
  return () => {
    if (isWatched) return;
    isWatched = true;
    watchFatal(end, () => (isWatched = false));
  };
}

// Node ends a process by an uncaught error in C++, after these events. A listener of `exit` could
// only be the last of those that are there now.
function watchFatal(end, over) {
  const own = Object.getOwnPropertyDescriptor(process, 'emit');
  const { emit } = process;
  const value = named('emit', function (event, ...args) {
    let isHandled;
    try {
      return (isHandled = Reflect.apply(emit, this, [event, ...args]));
    } finally {
      // Thrown by an `exit` listener, the error that nobody handles is the last event.
      const isLast = event === 'exit' || (event === 'uncaughtException' && isHandled === false);
      if (isLast && process._exiting) end();
    }
  });
  Object.defineProperty(process, 'emit', { value, configurable: true, writable: true });
  // If the error was handled, the process goes on.
  setImmediate(() => {
    over();
    if (process.emit !== value) return;
    if (own) Object.defineProperty(process, 'emit', own);
    else delete process.emit;
  }).unref();
}

/**
 * Has Node end this process when nothing but its IPC channel is left, as one without a channel. A
 * listener of `message` or `disconnect` keeps a process going (`Control` in
 * lib/internal/child_process.js); those that are there now, which are node:cluster's, do not any
 * more. Those that come later do.
 * @returns {(stays: boolean) => void} sets whether those that were there keep it going
 */
function leaveWhenIdle() {
  const { channel } = process;
  if (typeof channel?.unrefCounted !== 'function') return () => {};
  const counted = process.listenerCount('message') + process.listenerCount('disconnect');
  let isKept = true;
  const stay = (stays) => {
    if (stays === isKept) return;
    isKept = stays;
    const change = stays ? channel.refCounted : channel.unrefCounted;
    for (let left = counted; left > 0; left -= 1) Reflect.apply(change, channel, []);
  };
  stay(false);
  return stay;
}

const named = (name, value) => Object.defineProperty(value, 'name', { value: name });

module.exports = { leaveWhenIdle, onProcessEnd };
