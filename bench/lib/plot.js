'use strict';
module.exports = { plot: () => '<svg/>' };
