'use strict';
// As `cluster2`, with the option `overload`.

process.env.OVERLOAD_DELAY = '100';
require('./cluster2');
