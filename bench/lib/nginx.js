'use strict';
// nginx as a reverse proxy that keeps connections to a peer open.

const fs = require('node:fs');
const path = require('node:path');
const { once } = require('node:events');
const { execFile } = require('node:child_process');
const { Connection } = require('./connection');
const { makeDirectory } = require('./directories');
const { until } = require('./poll');
const { freePort } = require('./ports');
const { spawnTagged, signal } = require('./processes');

const KEPT_CONNECTIONS = 64;
const START_DEADLINE_MS = 5000;
/** Not every user has nginx's directory in PATH. */
const PATH = `${process.env.PATH}:/usr/sbin`;

/** Returns nginx's version. `nginx -v` prints it to stderr. */
function version() {
  return new Promise((resolve, reject) => {
    execFile('nginx', ['-v'], { env: { ...process.env, PATH } }, (error, _stdout, stderr) => {
      if (!error) return resolve(/nginx\/(\S+)/.exec(stderr)?.[1] ?? 'unknown');
      const how = 'install it, on Debian with `apt-get install nginx-light`';
      return reject(new Error(`nginx is missing: ${how}`));
    });
  });
}

// A single process: the names that nginx gives to several would overwrite the benchmark's tag.
const config = (port, appPort) => `
daemon off;
master_process off;
pid nginx.pid;
error_log error.txt;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  keepalive_requests 1000000;
  upstream app {
    server 127.0.0.1:${appPort};
    keepalive ${KEPT_CONNECTIONS};
    keepalive_requests 1000000;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`;

/** Whether an answer came through nginx from its peer. */
async function answers(port) {
  const connection = new Connection(port, START_DEADLINE_MS);
  const answered = await connection.ask('/', { last: true }).then(() => true, () => false);
  await connection.close();
  return answered;
}

/** Runs nginx before the peer on `appPort` while `use` runs, which gets nginx's port. */
async function behindNginx(appPort, use) {
  const dir = makeDirectory('nginx-');
  const port = await freePort();
  fs.writeFileSync(path.join(dir, 'nginx.conf'), config(port, appPort));
  const output = fs.openSync(path.join(dir, 'error.txt'), 'a');
  const child = spawnTagged('nginx', ['-p', dir, '-c', path.join(dir, 'nginx.conf')], {
    env: { PATH },
    stdio: ['ignore', output, output],
  });
  fs.closeSync(output);
  await once(child, 'spawn');
  const closed = once(child, 'close');
  try {
    await until('nginx answers', START_DEADLINE_MS, () => {
      if (child.exitCode === null) return answers(port);
      throw new Error(`nginx ended: ${fs.readFileSync(path.join(dir, 'error.txt'), 'utf8')}`);
    });
    return await use(port);
  } finally {
    signal(child.pid, 'SIGKILL');
    await closed;
  }
}

module.exports = { KEPT_CONNECTIONS, version, behindNginx };
