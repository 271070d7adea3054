'use strict';
// PM2's cluster mode through its own API, with its daemon in this process. SIGHUP is `pm2 reload`.
// PM2_SCRIPT is the server that it runs.

const path = require('node:path');
const pm2 = require(process.env.PM2_MODULE);

const NAME = 'bench';
const SCRIPT = process.env.PM2_SCRIPT ?? 'single.js';
const call = (method, ...args) =>
  new Promise((resolve, reject) => pm2[method](...args, (error, result) => (error ? reject(error) : resolve(result))));

async function main() {
  await call('connect', true);
  const script = path.join(__dirname, SCRIPT);
  await call('start', { name: NAME, script, instances: Number(process.env.WORKERS), exec_mode: 'cluster' });
  // PM2 refuses a reload while one runs, and one runs on for a while after the new workers listen.
  let reload = Promise.resolve();
  process.on('SIGHUP', () => {
    reload = reload.then(() => call('reload', NAME)).catch((error) => console.error(error));
  });
  process.on('SIGTERM', async () => {
    await call('delete', NAME).catch(() => {});
    process.exit();
  });
}

main();
