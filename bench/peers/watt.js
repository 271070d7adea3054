'use strict';
// Watt with its workers, as `wattpm start` runs it. They are threads of this process, each with an
// SO_REUSEPORT socket of its own. SIGHUP is `wattpm restart`, which replaces one worker after
// another.

const fs = require('node:fs');
const path = require('node:path');
const { createRequire } = require('node:module');

const APP = path.join(__dirname, '..', 'app.js');
const CONFIG = {
  server: { hostname: '0.0.0.0', port: Number(process.env.PORT) },
  entrypoint: 'app',
  workers: Number(process.env.WORKERS),
  applications: [{ id: 'app', path: './app' }],
};

// Watt loads what it needs for an app from where the app is.
function makeProject() {
  fs.symlinkSync(process.env.WATT_MODULES, 'node_modules');
  fs.mkdirSync('app');
  const create = `exports.create = require(${JSON.stringify(APP)});\n`;
  fs.writeFileSync('app/index.js', create);
  fs.writeFileSync('app/package.json', JSON.stringify({ name: 'app', main: 'index.js' }));
  const $schema = `https://schemas.platformatic.dev/wattpm/${process.env.WATT_VERSION}.json`;
  fs.writeFileSync('watt.json', JSON.stringify({ $schema, ...CONFIG }));
}

async function main() {
  makeProject();
  const { resolve } = createRequire(path.join(process.env.WATT_MODULES, 'wattpm', 'index.js'));
  const { create } = await import(resolve('@platformatic/runtime'));
  const how = { start: true, production: true, setupSignals: false };
  const runtime = await create(process.cwd(), 'watt.json', how);
  process.on('SIGHUP', () => runtime.restart().catch((error) => console.error(error)));
  process.on('SIGTERM', () => runtime.close().then(() => process.exit()));
}

main();
