#!/usr/bin/env node
'use strict';

// `cluster2` by node. Windows needs it: npm's link there starts a file by what its first line
// names, and few have `sh`.

require('./cluster2');
