'use strict';

// Packages and frameworks that end a server on signals: each open request is answered, in plain
// Node and for all ways to make a worker leave.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { INSTALL, install } = require('../helpers/own-packages');
const { WAYS, assertAnswersAll } = require('../helpers/shutdowns');

const MODULES = path.join(__dirname, '..', '..', 'node_modules');
/** How each ends in plain Node. */
const EXIT = (_signal) => ({ code: 0, signal: null });
const SIGNAL = (signal) => ({ code: null, signal });

const PACKAGES = {
  'close-with-grace': EXIT,
  fastify: EXIT,
  'http-terminator': EXIT,
  nest: SIGNAL,
  stoppable: EXIT,
  terminus: SIGNAL,
};

describe('a server that is ended by', () => {
  let home;

  before(function () {
    this.timeout(INSTALL);
    home = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-shutdown-'));
    install(path.join(__dirname, 'shutdown'), home);
    for (const name of ['@nestjs', 'fastify', 'reflect-metadata']) {
      fs.symlinkSync(path.join(MODULES, name), path.join(home, 'node_modules', name));
    }
  });
  after(() => fs.rmSync(home, { recursive: true, force: true }));

  for (const [name, end] of Object.entries(PACKAGES)) {
    for (const [how, way] of Object.entries(WAYS)) {
      it(`${name} answers each open request: ${how}`, () =>
        assertAnswersAll(path.join(home, `${name}.js`), way, end));
    }
  }
});
