'use strict';
// The kernel hands out the connections.

process.env.BALANCE = 'kernel';
require('./cluster2');
