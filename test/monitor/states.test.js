'use strict';

// What the monitor's page looks like when something is wrong, in a real browser.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { closeAll, open } = require('../helpers/browser');
const { begin, rows } = require('../helpers/monitor-page');
const { need } = require('../helpers/tools');
const { until } = require('../helpers/wait');

describe('the monitor in a browser, when something is wrong', function () {
  this.timeout(60_000);

  before(function () {
    need(this, 'chromium');
  });

  // Before the hook of `leaks.js` checks what is left.
  afterEach(closeAll);

  it('shows a crash loop: first what is wrong, then why, and what happened', async () => {
    const { script, address, browser } = await begin({ noWorkers: 1 }, 'fails-later.js');
    const page = await open(browser, address);
    const verdict = () => page.locator('.verdict').innerText();
    await until('it is ready', async () => (await verdict()) === 'Its worker is ready');
    fs.writeFileSync(path.join(script.cwd, 'fails'), '');
    process.kill(script.workers()[0], 'SIGKILL');
    await until(
      'it is said', async () => (await page.locator('.verdict.bad').count()) > 0, 20_000,
    );
    assert.strictEqual(await verdict(), 'No worker is ready');
    assert.match(await page.locator('.notes').innerText(), /^Slot 0 waits: its next worker starts (now|in \d+s)\. \d+ crash/);
    assert.match(await page.locator('.notes pre').innerText(), /no licence/);
    const [row] = await rows(page);
    assert.match(row.State, /^waiting \d+s$/);
    assert.strictEqual(row.Pid, '–');
    const color = (selector) =>
      page.evaluate(`getComputedStyle(document.querySelector("${selector}")).color`);
    assert.strictEqual(await color('[data-name=Crashes]'), await color('.verdict'));
    assert.notStrictEqual(await color('[data-name=Restarts]'), await color('.verdict'));
    const events = await page.locator('.events li').allInnerTexts();
    assert.ok(events.some((text) => /exit\s.*\sworker \d+ is gone \(crash,/s.test(text)), events[0]);
    assert.deepStrictEqual(page.troubles, []);
  });

  it('explains its terms to mouse and keyboard', async () => {
    const { address, browser } = await begin();
    const page = await open(browser, address);
    for (const name of ['Handed', 'Moved', 'Reclaimed']) {
      const term = page.locator('dt', { hasText: name }).first();
      assert.strictEqual(await term.locator('[role=tooltip]').isVisible(), false);
      await term.focus();
      assert.strictEqual(await term.locator('[role=tooltip]').isVisible(), true, name);
    }
    await page.locator('dt', { hasText: 'Handed' }).first().hover();
    assert.match(await page.locator('[role=tooltip]').first().innerText(), /^Connections that/);
  });

  it('dims what is old, and counts the seconds, when the cluster is gone', async () => {
    const { script, address, browser } = await begin();
    const page = await open(browser, address);
    await until('it is live', async () => (await page.locator('#sign').innerText()) === 'Live');
    // At once in the page: each update puts in other elements, and one that is gone has no style.
    const place = 'document.querySelector(".workers").parentElement';
    const opacity = () => page.evaluate(`getComputedStyle(${place}).opacity`);
    assert.strictEqual(await opacity(), '1');
    script.kill();
    await script.ended();
    const seconds = async () => {
      const text = await page.locator('#sign').innerText();
      return Number(text.match(/^Disconnected for (\d+) s$/)?.[1]);
    };
    const first = await until('it is said', async () => (await seconds()) + 1);
    assert.ok((await opacity()) < 1);
    await until('they are counted', async () => (await seconds()) > first, 10_000);
  });

  it('shows a log in its own frame, and follows it', async () => {
    const { script, address, browser } = await begin();
    const file = path.join(script.cwd, 'logs', 'app.log');
    fs.writeFileSync(file, 'one\ntwo\n');
    const page = await open(browser, `${address}logs`, { colorScheme: 'dark' });
    await page.getByRole('link', { name: 'app.log', exact: true }).click();
    const text = () => page.locator('#log').innerText();
    await until('it is there', async () => (await text()) === 'one\ntwo\n');
    fs.appendFileSync(file, '<b>three</b>\n');
    await until('it is followed', async () => (await text()).endsWith('<b>three</b>\n'));
    assert.strictEqual(await page.locator('#sign').innerText(), 'Following');
    assert.strictEqual(await page.locator('nav a').count(), 5);
    await page.locator('#pause').click();
    assert.strictEqual(await page.locator('#sign').innerText(), 'Paused');
    await page.locator('#pause').click();
    await until('it goes on', async () => (await page.locator('#sign').innerText()) === 'Following');
    assert.deepStrictEqual(page.troubles, []);
  });
});
