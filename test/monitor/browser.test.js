/* global document, getComputedStyle */
'use strict';

// The monitor's page in a real browser.

const assert = require('node:assert');
const { closeAll, open } = require('../helpers/browser');
const { request } = require('../helpers/client');
const { Load } = require('../helpers/load');
const { begin, brokenWords, rows } = require('../helpers/monitor-page');
const { need } = require('../helpers/tools');
const { until } = require('../helpers/wait');

const PHONE = { width: 320, height: 640 };
const PAGES = ['', 'logs', 'deps'];
/** The widest values of a busy worker. */
const WIDEST = {
  'Requests / s': '123,456',
  'Active': '9,999',
  'Connections': '99,999',
  'Accepted': '1,234,567,890',
  'Loop delay': '999\xa0ms',
  'Loop busy': '100 %',
  'CPU': '1,600 %',
  'Memory': '999\xa0MiB',
  'Uptime': '23\xa0h\xa059\xa0min',
  'Restarts': '9,999',
  'Crashes': '9,999',
  'Pid': '4194304',
};

/** A light load. Clients without keep-alive let every worker get requests. */
const load = (port, clients = 8) =>
  new Load(
    port,
    [true, false].map((keepAlive) => ({ clients: clients / 2, path: '/slow?20', keepAlive })),
  );

/** Pauses the page, and fills every cell with its widest value. */
async function widen(page) {
  const widened = await page.evaluate((widest) => {
    document.querySelector('#pause').click();
    const cells = [...document.querySelectorAll('.workers td')].filter(
      (cell) => cell.dataset.name in widest,
    );
    for (const cell of cells) cell.lastChild.textContent = widest[cell.dataset.name];
    return cells.map((cell) => cell.dataset.name);
  }, WIDEST);
  assert.deepStrictEqual(new Set(widened), new Set(Object.keys(WIDEST)));
}

/** Returns the number of requests since the start on the page. */
async function requests(page) {
  const text = await page
    .locator('.totals div', { has: page.getByText('Requests', { exact: true }) })
    .locator('dd')
    .innerText();
  return Number(text.replaceAll(',', ''));
}

/** Returns the content of `status.json`. */
async function status(monPort) {
  return JSON.parse((await request(monPort, '/status.json')).body);
}

describe('the monitor in a browser', function () {
  this.timeout(60_000);

  before(function () {
    need(this, 'chromium');
  });

  // Before the hook of `leaks.js` checks what is left.
  afterEach(closeAll);

  it('updates numbers, and shows a replaced worker, without a reload of the page', async () => {
    const { script, address, browser } = await begin();
    const page = await open(browser, address);
    await page.evaluate(() => (document.body.dataset.mark = 'the same'));
    const first = await requests(page);
    const [before] = await rows(page);
    assert.ok(script.workers().includes(Number(before.Pid)), JSON.stringify(before));
    const clients = load(script.port);
    await until('both workers are seen to serve', async () =>
      (await rows(page)).every((row) => Number(row['Requests / s']) > 10),
    );
    await until('all requests are counted', async () => (await requests(page)) > first + 100);
    assert.strictEqual(await page.locator('#sign').innerText(), 'Live');
    process.kill(Number(before.Pid), 'SIGKILL');
    const replaced = async () =>
      (await rows(page)).find((row) => row.Restarts === '1' && row.State === 'ready');
    const after = await until('the page shows its replacement', replaced);
    assert.ok(script.workers().includes(Number(after.Pid)), JSON.stringify(after));
    assert.notStrictEqual(after.Pid, before.Pid);
    await clients.stop();
    assert.strictEqual(await page.evaluate(() => document.body.dataset.mark), 'the same');
    assert.deepStrictEqual(page.troubles, []);
  });

  it('loads nothing from elsewhere and logs no error, in light and dark mode', async () => {
    const { address, browser } = await begin();
    const grounds = [];
    for (const colorScheme of ['light', 'dark']) {
      for (const name of PAGES) {
        const page = await open(browser, address + name, { colorScheme });
        const [ground, text] = await page.evaluate(() => {
          const { backgroundColor, color } = getComputedStyle(document.body);
          return [backgroundColor, color].map((rgb) => Number(rgb.match(/\d+/)[0]));
        });
        assert.strictEqual(ground < text, colorScheme === 'dark', `${name} ${ground} ${text}`);
        grounds.push(ground);
        assert.deepStrictEqual(page.troubles, []);
      }
    }
    assert.strictEqual(new Set(grounds).size, 2, 'all pages have the same two backgrounds');
  });

  it('fits on a phone and small screens, even with large numbers', async () => {
    const { address, browser } = await begin();
    for (const viewport of [PHONE, ...[1024, 1241].map((width) => ({ width, height: 768 }))]) {
      for (const name of PAGES) {
        const page = await open(browser, address + name, {
          viewport,
          isMobile: viewport === PHONE,
        });
        if (name === '') await widen(page);
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        const narrow = await page
          .locator('tbody th, tbody td, .chart p')
          .evaluateAll((places) =>
            places
              .filter((place) => place.scrollWidth > place.clientWidth)
              .map((place) => place.innerText),
          );
        assert.deepStrictEqual(narrow, [], `texts too wide for their places on /${name}`);
        assert.deepStrictEqual(await page.evaluate(brokenWords), [], `broken words on /${name}`);
        assert.ok(width <= viewport.width, `/${name} is ${width} wide of ${viewport.width}`);
      }
    }
  });

  it('works by keyboard: the first tab stop is the content, and it can be paused', async () => {
    const { script, address, browser } = await begin();
    const page = await open(browser, address);
    await page.keyboard.press('Tab');
    assert.strictEqual(await page.locator(':focus').innerText(), 'Skip to the content');
    assert.ok(
      await page.locator(':focus').evaluate((link) => link.getBoundingClientRect().left >= 0),
      'it is seen',
    );
    for (let stops = 0; (await page.locator(':focus').getAttribute('id')) !== 'pause'; stops += 1) {
      assert.ok(stops < 20, 'the button is reached');
      await page.keyboard.press('Tab');
    }
    await page.keyboard.press('Enter');
    await until('it is paused', async () => (await page.locator('#sign').innerText()) === 'Paused');
    assert.strictEqual(await page.locator('#pause').innerText(), 'Resume');
    const still = await requests(page);
    const clients = load(script.port);
    // Another page gets two samples in that time; this one none.
    const other = await open(browser, address);
    for (let samples = 0; samples < 2; samples += 1) {
      const seen = await requests(other);
      await until('the other page changes', async () => (await requests(other)) > seen);
    }
    assert.strictEqual(await requests(page), still);
    await page.bringToFront();
    await page.keyboard.press('Space');
    await until('it goes on', async () => (await requests(page)) > still);
    await clients.stop();
    await page.locator('.skip').focus();
    await page.keyboard.press('Enter');
    assert.strictEqual(await page.locator(':focus').getAttribute('id'), 'main');
    assert.deepStrictEqual(page.troubles, []);
  });

  it('shows the same numbers without JavaScript', async () => {
    const { monPort, address, browser } = await begin();
    const page = await open(browser, address, { javaScriptEnabled: false });
    const expected = async () => {
      const { workers } = await status(monPort);
      return workers.map(({ pid, crashes, state, connections, restarts }) =>
        [pid, crashes, state, connections.total, restarts].map(String));
    };
    // The page shows samples, one every 2 s.
    await until('the snapshot says the same', async () => {
      await page.reload();
      const shown = (await rows(page)).map((row) => [
        row.Pid,
        row.Crashes,
        row.State,
        row.Accepted,
        row.Restarts,
      ]);
      const isSame = JSON.stringify(shown) === JSON.stringify(await expected());
      return (await requests(page)) === 5 && isSame;
    });
    assert.strictEqual(await page.locator('#sign').innerText(), 'Snapshot');
    assert.strictEqual(await page.locator('#pause').isVisible(), false);
  });
});
