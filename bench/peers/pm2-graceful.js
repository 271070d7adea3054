'use strict';
// As `pm2`, with a server that ends as PM2's manual asks for: on SIGINT it takes nothing new and
// finishes what it has.

process.env.PM2_SCRIPT = 'single-graceful.js';
require('./pm2');
