'use strict';

// A real browser that looks at pages of the monitor. What always holds: it reaches this machine
// only, and everything that it complains of, or asks of another origin, is remembered.

const { chromium } = require('playwright-core');
const { find } = require('./tools');

// Neither its own updates nor anything on a page may lead out of this machine.
const ARGS = [
  ...[
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
  ],
  ...[
    '--disable-component-update',
    '--disable-sync',
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  ],
];

const running = new Set();

/** Starts one. Nothing of it is kept on disk. */
async function launch() {
  const browser = await chromium.launch({ executablePath: find('chromium'), args: ARGS });
  running.add(browser);
  return browser;
}

/**
 * Opens a page at `address`.
 * @param {object} [options] of playwright's `newContext`: `colorScheme`, `viewport`,
 *   `javaScriptEnabled`
 * @returns playwright's page; its `troubles` are the errors and refusals so far, in words
 */
async function open(browser, address, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const troubles = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) troubles.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => troubles.push(`error: ${error.message}`));
  page.on('request', (request) => {
    const { origin } = new URL(request.url());
    if (origin !== new URL(address).origin) troubles.push(`asked ${request.url()}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) troubles.push(`${response.status()} for ${response.url()}`);
  });
  const response = await page.goto(address);
  if (!response.ok()) throw new Error(`${response.status()} for ${address}`);
  return Object.assign(page, { troubles });
}

/** Closes all of them. */
async function closeAll() {
  for (const browser of running) await browser.close();
  running.clear();
}

module.exports = { closeAll, launch, open };
