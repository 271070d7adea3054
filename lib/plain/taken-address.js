'use strict';

/**
 * Whether `error`, which nobody has caught, says that another process has the address of a server,
 * and no script hears of it: then all that would follow is Node's stack.
 */
function isTakenAddress(error) {
  const { code, syscall } = Object(error);
  if (code !== 'EADDRINUSE' || syscall !== 'listen') return false;
  if (process.hasUncaughtExceptionCaptureCallback()) return false;
  // One monitor is ours.
  return (
    process.listenerCount('uncaughtException') === 0 &&
    process.listenerCount('uncaughtExceptionMonitor') === 1
  );
}

module.exports = { isTakenAddress };
