'use strict';

// A real browser for the pages of the monitor. It can reach only this machine. Errors, warnings and
// requests to other origins are recorded.

const { chromium } = require('playwright-core');
const { find } = require('./tools');

// Neither its own updates nor a page may connect to another machine.
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

/** Starts a browser without a profile on disk. */
async function launch() {
  const browser = await chromium.launch({ executablePath: find('chromium'), args: ARGS });
  running.add(browser);
  return browser;
}

/**
 * Opens a page at `address`.
 * @param {object} [options] of playwright's `newContext`: `colorScheme`, `viewport`,
 *   `javaScriptEnabled`
 * @returns playwright's page; its `troubles` are the errors so far, as text
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

/** Closes all browsers. */
async function closeAll() {
  for (const browser of running) await browser.close();
  running.clear();
}

module.exports = { closeAll, launch, open };
