'use strict';

// The main addon, which has what a worker does not need: masters, single processes, commands, and
// the monitor URI. It costs a worker several megabytes. So what always holds: what a worker loads
// at its start requires this within the function that needs it.

module.exports = require('./load-addon').addonOf('main');
