'use strict';
// The floor for memory: Node with `http` and a server that never listens.

const fs = require('node:fs');

require('../app')();
fs.writeFileSync('ready', ''); // it has no port to poll
setInterval(() => {}, 2 ** 30);
