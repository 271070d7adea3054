'use strict';

const cluster = require('node:cluster');

cluster.schedulingPolicy = cluster.SCHED_NONE;
require('./node-cluster');
