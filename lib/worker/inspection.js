'use strict';

// A look inside this worker by Node's own inspector, without a port: a CPU profile or a snapshot of
// the heap, written into a new file. Loaded only when it is asked for.
//
// What always holds: the inspector is let go of when the file is written or cannot be; a file that
// exists is not touched; and a worker that stands still for its own snapshot is not taken for one
// that hangs, for `PAUSE` at most.

const fs = require('node:fs');
const { Session } = require('node:inspector');

/** How long a snapshot may take, milliseconds. */
const PAUSE = 10 * 60_000;
/** For the user of this process only: what is in memory may be secret. */
const NEW = { flag: 'wx', mode: 0o600 };

/**
 * @param {object} order `Inspection` of `src/protocol/messages.rs`
 * @param {{ done: (problem: string|null) => void, pause: (ms: number) => void }} to `done` is
 *   called once; `pause` before the event loop stands still for so long at most
 */
function inspect({ what, path, seconds }, { done, pause }) {
  const session = new Session();
  session.connect();
  const end = (error) => {
    session.disconnect();
    done(error?.message ?? null);
  };
  const begin = what === 'profile' ? profile : heap;
  try {
    begin(session, { path, seconds, pause }, end);
  } catch (error) {
    end(error);
  }
}

function profile(session, { path, seconds }, end) {
  const file = fs.openSync(path, NEW.flag, NEW.mode);
  const close = (error) => fs.close(file, (problem) => end(error ?? problem));
  const stop = () =>
    session.post('Profiler.stop', (error, found) => {
      if (error) return close(error);
      fs.writeFile(file, JSON.stringify(found.profile), close);
    });
  session.post('Profiler.enable');
  session.post('Profiler.start', (error) => {
    if (error) return close(error);
    setTimeout(stop, seconds * 1000).unref();
  });
}

// Node 22 takes it in `post`, Node 26 in a later turn. No progress is asked for: V8 reports it in
// the middle of its walk over the heap, where JavaScript that hears of it ends the process by
// SIGSEGV.
function heap(session, { path, pause }, end) {
  const file = fs.openSync(path, NEW.flag, NEW.mode);
  let problem;
  session.on('HeapProfiler.addHeapSnapshotChunk', ({ params }) => {
    try {
      if (!problem) fs.writeSync(file, params.chunk);
    } catch (error) {
      problem = error;
    }
  });
  pause(PAUSE);
  session.post('HeapProfiler.takeHeapSnapshot', { reportProgress: false }, (error) => {
    pause(0);
    fs.closeSync(file);
    end(error ?? problem);
  });
}

module.exports = { inspect };
