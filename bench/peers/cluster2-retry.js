'use strict';
// As `cluster2`, with the option `retry`.

process.env.RETRY = 'yes';
require('./cluster2');
