'use strict';

// Positions in generated code as positions in its sources, for stacks of other processes: Node
// itself maps only those of its own.

const fs = require('node:fs');
const { SourceMap } = require('node:module');
const path = require('node:path');
const { fileURLToPath } = require('node:url');

/** Larger scripts and maps are not read, bytes. */
const MAX_BYTES = 4 * 1024 * 1024;
const COMMENT = /^\/\/[#@] sourceMappingURL=(\S+)\s*$/gm;
const DATA = /^data:application\/json[^,]*?(;base64)?,(.*)$/s;
const FLAG = '--enable-source-maps';

/** Whether processes with these flags and this environment follow source maps. */
function areOn(execArgv, env) {
  return execArgv.includes(FLAG) || (env.NODE_OPTIONS ?? '').split(/\s+/).includes(FLAG);
}

function read(file) {
  const { size } = fs.statSync(file);
  if (size > MAX_BYTES) throw new RangeError(`${file} has ${size} bytes`);
  return fs.readFileSync(file, 'utf8');
}

/** Returns the map that a script names, and the folder in which its sources are. */
function load(script) {
  const [, url] = [...read(script).matchAll(COMMENT)].pop() ?? [];
  if (!url) return undefined;
  const [, base64, data] = url.match(DATA) ?? [];
  const file = path.resolve(path.dirname(script), decodeURIComponent(url));
  const decode = () => (base64 ? Buffer.from(data, 'base64').toString() : decodeURIComponent(data));
  const payload = JSON.parse(data === undefined ? read(file) : decode());
  return { map: new SourceMap(payload), folder: path.dirname(data === undefined ? file : script) };
}

/** Maps the frames of one stack. A position that has no map stays. */
class Positions {
  #maps = new Map();

  #mapOf(script) {
    if (!this.#maps.has(script)) {
      let found;
      try {
        found = load(script);
      } catch {
        // A file that is gone, or is not a map, changes nothing.
      }
      this.#maps.set(script, found);
    }
    return this.#maps.get(script);
  }

  /** @param {{ function: string, file: string, line: number, column: number }} frame */
  original(frame) {
    const script = frame.file.startsWith('file:') ? fileURLToPath(frame.file) : frame.file;
    const found = path.isAbsolute(script) ? this.#mapOf(script) : undefined;
    const entry = found?.map.findEntry(frame.line - 1, frame.column - 1) ?? {};
    if (entry.originalSource === undefined) return frame;
    const { originalSource: source, originalLine: line, originalColumn: column } = entry;
    const file = source.startsWith('file:') ? fileURLToPath(source) : source;
    return {
      function: frame.function,
      file: /^\w+:\/\//.test(file) ? file : path.resolve(found.folder, file),
      line: line + 1,
      column: column + 1,
    };
  }
}

module.exports = { Positions, areOn };
