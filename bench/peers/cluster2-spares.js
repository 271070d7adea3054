'use strict';
// As `cluster2`, with the option `spares`.

process.env.SPARES = '2';
require('./cluster2');
