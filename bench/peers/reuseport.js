'use strict';
// Processes that share nothing, each with an SO_REUSEPORT socket of its own, and that nobody
// supervises: the least that a connection can cost. The socket comes from perl, since Node has
// `reusePort` from 23.1 on only.

const path = require('node:path');
const { spawn } = require('node:child_process');

const SOCKET = path.join(__dirname, 'reuseport.pl');
const SERVER = path.join(__dirname, 'reuseport-server.js');

const servers = Array.from({ length: Number(process.env.WORKERS) }, () =>
  spawn('perl', [SOCKET, process.env.PORT, process.execPath, SERVER], { stdio: 'inherit' })
    .on('error', ({ message }) => {
      console.error(`Error: perl, which makes the sockets: ${message}`);
      process.exit(1);
    }));

process.on('SIGTERM', () => {
  for (const server of servers) server.kill();
  process.exit();
});
