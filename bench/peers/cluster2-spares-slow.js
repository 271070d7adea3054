'use strict';
// As `cluster2`, with the option `spares` and an app that takes 2 s until it can listen.

process.env.SPARES = '4';
process.env.APP_START_MS = '2000';
require('./cluster2');
