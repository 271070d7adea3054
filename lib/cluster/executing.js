'use strict';

// What a worker executes, as events and `stack()` show it.

const { Positions, areOn } = require('./source-maps');

/** A frame as a line of `Error.stack`. */
function print({ function: name, file, line, column }) {
  const position = `${file || '<anonymous>'}:${line}:${column}`;
  return name ? `    at ${name} (${position})` : `    at ${position}`;
}

/**
 * Follows source maps, where the workers do so.
 * @param {{ stack: ?string, frames: object[], waiting: ?object, heap: ?object, gc: ?object }} seen
 *   `ExecutionReport` of `src/embedder/events.rs`
 * @param {object} config the options
 */
function executing({ stack, frames, waiting, heap, gc }, { execArgv, env }) {
  if (frames.length > 0 && areOn(execArgv ?? process.execArgv, { ...process.env, ...env })) {
    const positions = new Positions();
    frames = frames.map((frame) => positions.original(frame));
    stack = frames.map(print).join('\n');
  }
  return { stack, frames, waiting, heap, gc };
}

module.exports = { executing };
