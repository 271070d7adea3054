'use strict';
// PM2's cluster mode through its own API, with its daemon in this process. SIGHUP is `pm2 reload`.

const path = require('node:path');
const pm2 = require(process.env.PM2_MODULE);

const NAME = 'bench';
const call = (method, ...args) =>
  new Promise((resolve, reject) => pm2[method](...args, (error, result) => (error ? reject(error) : resolve(result))));

async function main() {
  await call('connect', true);
  const script = path.join(__dirname, 'single.js');
  await call('start', { name: NAME, script, instances: Number(process.env.WORKERS), exec_mode: 'cluster' });
  process.on('SIGHUP', () => call('reload', NAME).catch((error) => console.error(error)));
  process.on('SIGTERM', async () => {
    await call('delete', NAME).catch(() => {});
    process.exit();
  });
}

main();
