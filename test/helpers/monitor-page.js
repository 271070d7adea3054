/* global document */
'use strict';

// The monitor's page of a cluster in a browser, and how tests read it.

const { launch } = require('./browser');
const { request } = require('./client');
const { Script } = require('./cluster');
const { freePort } = require('./ports');

/** A cluster with a monitor and some past requests, and a browser. */
async function begin(options = {}, file = 'http.js') {
  const monPort = await freePort();
  const script = await new Script(file, {
    port: await freePort(),
    options: { monPort, ...options },
  }).ready(options.noWorkers);
  for (let count = 0; count < 5; count += 1) await request(script.port);
  return { script, monPort, address: `http://127.0.0.1:${monPort}/`, browser: await launch() };
}

/** Returns the workers on the page: the text of each cell, by the name of its column. */
async function rows(page) {
  const cells = await page
    .locator('.workers tbody tr')
    .evaluateAll((lines) =>
      lines.map((line) =>
        [...line.querySelectorAll('td')].map((cell) => [
          cell.dataset.name ?? 'State',
          cell.innerText.trim(),
        ]),
      ),
    );
  return cells.map(Object.fromEntries);
}

/**
 * Returns the words that the page breaks into several lines, other than at a hyphen. Long paths may
 * be broken. It runs in the page.
 */
function brokenWords() {
  const walker = document.createTreeWalker(document.body, 4);
  const broken = [];
  for (let node; (node = walker.nextNode()); ) {
    if (!node.parentElement.checkVisibility()) continue;
    for (const { 0: word, index } of node.data.matchAll(/[\w.%]{1,24}(?![\w./])/g)) {
      if (index > 0 && /[\w./@]/.test(node.data[index - 1])) continue;
      const range = document.createRange();
      range.setStart(node, index);
      range.setEnd(node, index + word.length);
      const lines = new Set([...range.getClientRects()].map(({ top }) => Math.round(top)));
      if (lines.size > 1) broken.push(word);
    }
  }
  return broken;
}

module.exports = { begin, brokenWords, rows };
