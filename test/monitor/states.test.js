/* global document, getComputedStyle */
'use strict';

// What the monitor's page looks like when something is wrong, in a real browser.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { closeAll, open } = require('../helpers/browser');
const { begin } = require('../helpers/monitor-page');
const { need } = require('../helpers/tools');
const { until } = require('../helpers/wait');

/**
 * Returns what the page shows of a cluster of one worker, all at one moment: each update replaces
 * elements. It runs in the page.
 */
function look() {
  const find = (selector) => document.querySelector(selector);
  const color = (selector) => getComputedStyle(find(selector)).color;
  const cells = [...document.querySelectorAll('.workers tbody tr td')];
  return {
    isBad: find('.verdict.bad') !== null,
    verdict: find('.verdict').innerText,
    notes: find('.notes')?.innerText,
    lastLines: find('.notes pre')?.innerText,
    cells: Object.fromEntries(
      cells.map((cell) => [cell.dataset.name ?? 'State', cell.innerText.trim()]),
    ),
    colors: {
      verdict: color('.verdict'),
      Crashes: color('[data-name=Crashes]'),
      Restarts: color('[data-name=Restarts]'),
    },
  };
}

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
    const shown = await until(
      'the page says that it waits', async () => {
        const seen = await page.evaluate(look);
        return seen.isBad && /^waiting/.test(seen.cells.State) && seen;
      }, 20_000,
    );
    assert.strictEqual(shown.verdict, 'No worker is ready');
    assert.match(shown.notes, /^Slot 0 waits: its next worker starts (now|in \d+\ss)\. \d+ crash/);
    assert.match(shown.lastLines, /no licence/);
    assert.match(shown.cells.State, /^waiting \d+\ss$/);
    assert.strictEqual(shown.cells.Pid, '–');
    assert.strictEqual(shown.colors.Crashes, shown.colors.verdict);
    assert.notStrictEqual(shown.colors.Restarts, shown.colors.verdict);
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
      // An update may come between the two, and replace the element.
      await until(`the focus shows what ${name} is`, async () => {
        await term.focus();
        return term.locator('[role=tooltip]').isVisible();
      });
    }
    await page.locator('dt', { hasText: 'Handed' }).first().hover();
    assert.match(await page.locator('[role=tooltip]').first().innerText(), /^Connections that/);
  });

  it('dims what is old, and counts the seconds, when the cluster is gone', async () => {
    const { script, address, browser } = await begin();
    const page = await open(browser, address);
    await until('it is live', async () => (await page.locator('#sign').innerText()) === 'Live');
    // In one call in the page: each update replaces elements, and a removed one has no style.
    const place = 'document.querySelector(".workers").parentElement';
    const opacity = () => page.evaluate(`getComputedStyle(${place}).opacity`);
    assert.strictEqual(await opacity(), '1');
    script.kill();
    await script.ended();
    const seconds = async () => {
      const text = await page.locator('#sign').innerText();
      return Number(text.match(/^Disconnected for (\d+) s$/)?.[1]);
    };
    const first = await until('the page says so', async () => (await seconds()) + 1);
    await until('the table is dim', async () => (await opacity()) < 1);
    await until('the seconds are counted', async () => (await seconds()) > first, 10_000);
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
    const says = (word) =>
      until(`it says ${word}`, async () => (await page.locator('#sign').innerText()) === word);
    await says('Following');
    assert.strictEqual(await page.locator('nav a').count(), 5);
    await page.locator('#pause').click();
    await says('Paused');
    await page.locator('#pause').click();
    await says('Following');
    assert.deepStrictEqual(page.troubles, []);
  });
});
