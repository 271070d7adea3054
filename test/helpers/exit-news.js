'use strict';

// What this kernel can tell of the end of a process before it is gone.

const fs = require('node:fs');
const os = require('node:os');

/** Whether it tells that a process ends, from 5.16 on. */
const [MAJOR, MINOR] = os.release().split('.').map(Number);
const HAS_NEWS = MAJOR > 5 || (MAJOR === 5 && MINOR >= 16);
/** Whether it has memory in pages that are freed one by one. */
const HUGE_PAGES = '/sys/kernel/mm/transparent_hugepage/enabled';
const HAS_SMALL_PAGES =
  !fs.existsSync(HUGE_PAGES) || !fs.readFileSync(HUGE_PAGES, 'utf8').includes('[always]');

/** Whether the time until the memory of a process is free can be seen. */
module.exports = { SHOWS_ENDING: HAS_NEWS && HAS_SMALL_PAGES };
