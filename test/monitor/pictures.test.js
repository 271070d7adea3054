'use strict';

// Makes the pictures of the monitor in `docs/images/`, with SCREENSHOTS=1 (`npm run screenshots`).

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { closeAll, launch, open } = require('../helpers/browser');
const { Script } = require('../helpers/cluster');
const { Load } = require('../helpers/load');
const { freePort } = require('../helpers/ports');
const { need } = require('../helpers/tools');
const { until } = require('../helpers/wait');

const IMAGES = path.join(__dirname, '..', '..', 'docs', 'images');
const VIEWS = {
  light: {},
  dark: { colorScheme: 'dark' },
  phone: { viewport: { width: 320, height: 640 }, isMobile: true },
};
const SERVER = `
if (require('node:fs').existsSync('fails')) {
  console.error('connecting to db.internal:5432');
  throw new Error('connect ECONNREFUSED 10.0.0.7:5432');
}
const answer = (_, response) => setTimeout(() => response.end('ok'), 20);
require('node:http').createServer(answer).listen(process.env.PORT);
`;

/** A light load. Clients without keep-alive let every worker get requests. */
const load = (port, clients) =>
  new Load(
    port, [true, false].map((keepAlive) => ({ clients: clients / 2, path: '/', keepAlive })),
  );

if (process.env.SCREENSHOTS) {
  describe('the pictures of the manual', function () {
    this.timeout(240_000);
    const folder = path.join(os.tmpdir(), 'shop');

    before(function () {
      need(this, 'chromium');
      fs.mkdirSync(folder);
      fs.writeFileSync(path.join(folder, 'server.js'), SERVER);
      fs.writeFileSync(path.join(folder, 'package.json'), '{ "name": "shop" }');
    });
    after(() => fs.rmSync(folder, { recursive: true }));
    afterEach(closeAll);

    it('are made', async () => {
      const [port, monPort] = [await freePort(), await freePort()];
      const cli = ['--workers', '4', '--mon-port', String(monPort)];
      const file = path.join(folder, 'server.js');
      const script = await new Script(file, { port, cli, cwd: folder }).ready(4);
      const browser = await launch();
      const view = (options) =>
        open(browser, `http://127.0.0.1:${monPort}/`, {
          colorScheme: 'light', viewport: { width: 1280, height: 800 }, ...options,
        });
      const save = (page, name, fullPage) =>
        page.screenshot({ path: path.join(IMAGES, `monitor-${name}.png`), fullPage });
      const pages = {};
      for (const [name, options] of Object.entries(VIEWS)) pages[name] = await view(options);

      const clients = [load(port, 12)];
      const points = async () =>
        (await pages.light.locator('.chart .line').first().getAttribute('d')).split('l').length;
      for (const enough of [12, 20, 28, 40]) {
        await until(`there are ${enough} points`, async () => (await points()) >= enough, 60_000);
        clients.push(load(port, 6 + clients.length * 4));
        if (clients.length === 3) process.kill(script.workers()[1], 'SIGKILL');
      }
      for (const [name, page] of Object.entries(pages)) await save(page, name, name === 'phone');
      for (const some of clients) await some.stop();

      fs.writeFileSync(path.join(folder, 'fails'), '');
      for (const pid of script.workers()) process.kill(pid, 'SIGKILL');
      await until(
        'all slots wait',
        async () => (await pages.light.locator('.state.waiting').count()) === 4, 60_000,
      );
      await save(pages.light, 'crash', false);
    });
  });
}
