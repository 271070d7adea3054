'use strict';
// As `cluster2`, with one worker at least and as many more as there is work for.

process.env.MAX_WORKERS = process.env.WORKERS;
process.env.WORKERS = '1';
require('./cluster2');
