'use strict';

// Marks of idle HTTP/1 connections, by which others serve them while this process is stuck
// (`src/os/seize/`). What always holds: a mark is a number of bytes of a connection that are whole
// messages, all of these are answered, and the answers are with the kernel. So a connection of
// which exactly so many bytes were read is idle; a mark may be old, but is never wrong. A
// connection that something else than its first server may read is never marked again.

const {
  MessageEnds, beforeSending, handleOf, hasSent, isSent, isUntouched, mayStay, serverOf,
} = require('../node-internals');
const { STAGE } = require('./moved-connection');

/** Doubles for each descriptor (`src/os/seize/table.rs`, `Cell`). */
const CELLS = 8;
const [IDLE, BASE, STAGE_OF, TIMEOUT, REQUESTS, STATE] = [0, 1, 2, 3, 4, 5];
const BUSY = -1;
/** Another process has the connection, and under its number is a socket at its end. */
const TAKEN = 2;

class IdleMarks {
  #cells;
  #traffic;

  /**
   * @param {ArrayBuffer} memory of the addon
   * @param {Traffic} traffic the connections
   */
  constructor(memory, traffic) {
    this.#cells = new Float64Array(memory);
    this.#traffic = traffic;
    beforeSending((server) => this.#dropAll(server));
  }

  /**
   * Takes a connection that came, before anything is done to it.
   * @returns {boolean} false: another process has it already
   */
  claim(fd) {
    const line = CELLS * fd;
    // Beyond the end of the table nothing is ever taken.
    if (line >= this.#cells.length) return true;
    this.#cells[line] = BUSY;
    return this.#cells[line + STATE] !== TAKEN;
  }

  /**
   * A connection of this descriptor has reached its server: marks it, if nothing was read of it.
   * Before `runOn` of `moved-connection.js`, which follows the first bytes that are read.
   * @param {object} [past] of a moved one (`Past` of `src/protocol/connections.rs`)
   */
  admit(stream, fd, past) {
    const [cells, line, state] = [this.#cells, CELLS * fd, this.#traffic.stateOf(stream)];
    const base = cells[line + BASE];
    if (!(base >= 0) || state?.listener === undefined) return;
    if (!isUntouched(stream, fd) || hasSent(serverOf(stream))) return;
    state.handle = handleOf(stream);
    state.line = line;
    // What has come begins its time-out again.
    cells[line + STAGE_OF] = past ? past.stage % STAGE.TIMED_OUT : STAGE.UNUSED;
    if (!past) cells[line + TIMEOUT] = stream.timeout ?? 0;
    cells[line + IDLE] = base;
  }

  /** A request of a connection begins. One whose client wants no other is not followed. */
  busy(state, request, response) {
    const { handle, line } = state;
    if (handle === undefined) return;
    const cells = this.#cells;
    cells[line] = BUSY;
    if (state.ends === undefined && mayStay(response)) {
      state.ends = new MessageEnds(request.socket, cells[line + BASE], cells, line);
    }
    state.ends?.head(request);
  }

  /** All requests of a connection are answered. `finished`: of Node's diagnostics channel. */
  idle(state, { response, socket, server }) {
    const { handle, line, ends } = state;
    if (ends === undefined || !isSent(socket, handle, response)) return;
    const cells = this.#cells;
    const { keepAliveTimeout } = server;
    if (state.waits !== keepAliveTimeout || !keepAliveTimeout) {
      state.waits = keepAliveTimeout;
      cells[line + STAGE_OF] = keepAliveTimeout ? STAGE.KEPT : STAGE.BETWEEN;
      cells[line + TIMEOUT] = keepAliveTimeout
        ? keepAliveTimeout + (server.keepAliveTimeoutBuffer ?? 0)
        : (socket.timeout ?? 0);
    }
    if (state.requests > 0) cells[line + REQUESTS] = state.requests;
    cells[line + IDLE] = ends.end;
  }

  /** Something else may read from a connection from now on. */
  drop(stream) {
    const state = stream ? this.#traffic.stateOf(stream) : undefined;
    if (state?.handle === undefined) return;
    this.#cells[state.line] = BUSY;
    state.handle = state.ends = undefined;
  }

  /** The script begins to send connections of a server to another process. */
  #dropAll(server) {
    for (const stream of this.#traffic.streams) {
      if (serverOf(stream) === server) this.drop(stream);
    }
  }
}

module.exports = { IdleMarks };
